//! Making the table, for local modes and tests; in AWS the template does it.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, StreamSpecification, StreamViewType,
    TimeToLiveSpecification,
};
use simfuse_domain::port::TableError;

use super::error::{fault_from, table_error};
use super::lists::INDEX;

/// Makes the table, as the template would.
///
/// # Errors
/// [`TableError`]; `Fault` when there is a table of this name already.
pub async fn create_table(client: &Client, name: &str) -> Result<(), TableError> {
    let doing = format!("making the table {name}");
    let incomplete = |error| fault_from(&doing, "incomplete request", error);
    let index = GlobalSecondaryIndex::builder()
        .index_name(INDEX)
        .set_key_schema(Some(keys("ipk", "isk").map_err(incomplete)?))
        .projection(Projection::builder().projection_type(ProjectionType::All).build())
        .build()
        .map_err(incomplete)?;
    let stream = StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::NewAndOldImages)
        .build()
        .map_err(incomplete)?;
    let attributes = ["pk", "sk", "ipk", "isk"].map(|name| {
        let attribute = AttributeDefinition::builder().attribute_name(name);
        attribute.attribute_type(ScalarAttributeType::S).build()
    });
    let attributes = attributes.into_iter().collect::<Result<Vec<_>, _>>().map_err(incomplete)?;
    let request = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(attributes))
        .set_key_schema(Some(keys("pk", "sk").map_err(incomplete)?))
        .global_secondary_indexes(index)
        .stream_specification(stream);
    Box::pin(request.send()).await.map_err(|error| table_error(&doing, error))?;
    let expiry =
        TimeToLiveSpecification::builder().enabled(true).attribute_name("expires_at").build();
    let expiry = expiry.map_err(incomplete)?;
    let request = client.update_time_to_live().table_name(name).time_to_live_specification(expiry);
    request.send().await.map_err(|error| table_error(&doing, error))?;
    Ok(())
}

fn keys(
    partition: &str,
    sort: &str,
) -> Result<Vec<KeySchemaElement>, aws_sdk_dynamodb::error::BuildError> {
    let key = |name, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    Ok(vec![key(partition, KeyType::Hash)?, key(sort, KeyType::Range)?])
}
