//! SimFuse on this machine: the functions' own handlers, an embedded table, a simulated Super SIM
//! service; all on loopback, whatever the environment holds.

pub(crate) mod http;
pub(crate) mod mailbox;
pub(crate) mod run_file;
pub(crate) mod stream;

use std::error::Error;
use std::sync::Arc;

use aws_sdk_dynamodb as dynamodb;
use dynamodb::types::StreamSpecification;
use jiff::Timestamp;
use secrecy::SecretString;
use simfuse_aws::{Table, create_table};
use simfuse_console::handler::{Handler as Console, Switch};
use simfuse_domain::audit::{AuditEntry, Phase, SIMFUSE};
use simfuse_domain::id::SimSid;
use simfuse_domain::policy::{Mode, Policy};
use simfuse_domain::port::{Applied, Clock, PolicyChange, PolicyVersions as _};
use simfuse_domain::signed_link::{ConsoleOrigin, KEY_BYTES_MIN, LinkKey, Links};
use simfuse_kill_switch::engine::KillSwitch;
use simfuse_kill_switch::request::{Answer, Request};
use simfuse_supersim::Provider;
use simfuse_supersim::client::{ApiOrigin, Callbacks, ClientConfig, SuperSimClient, TokenUrl};
use simfuse_supersim::secret::{ApiCredentials, WebhookSecrets};
use simfuse_testkit::service::{ServiceConfig, SuperSimService};
use simfuse_webhook::handler::{Handler, Secrets};
use simfuse_webhook::intake::{Intake, Receipt};
use tokio::net::TcpListener;

use crate::error::CliError;
use mailbox::Mailbox;
use stream::Stream;

/// The table's name, as a deployed one might have.
const TABLE: &str = "simfuse";

/// The simulated service's account: an identifier, not a secret.
const ACCOUNT_SID: &str = "AC00000000000000000000000000000000";

/// The clock of a local stack.
pub(crate) type SharedClock = Arc<dyn Clock>;

/// The webhook's handler on local parts.
pub(crate) type LocalWebhook = Handler<Table, FixedSecrets, SharedClock>;

/// The kill-switch on local parts.
pub(crate) type LocalKillSwitch = KillSwitch<Table, SuperSimClient, Mailbox, SharedClock>;

/// The console on local parts.
pub(crate) type LocalConsole = Console<Table, LocalSwitch, SharedClock>;

/// The kill-switch of the same process, as the console asks it.
pub(crate) struct LocalSwitch(Arc<LocalKillSwitch>);

impl Switch for LocalSwitch {
    async fn ask(&self, request: &Request) -> Result<Answer, Box<dyn Error + Send + Sync>> {
        let answer = self.0.handle(serde_json::to_value(request)?).await?;
        Ok(serde_json::from_value(answer)?)
    }

    async fn hint(&self, sim: SimSid) -> Result<(), Box<dyn Error + Send + Sync>> {
        let (kill_switch, hint) = (Arc::clone(&self.0), serde_json::json!({ "sim": sim }));
        tokio::spawn(async move {
            if let Err(error) = kill_switch.handle(serde_json::json!({ "hint": hint })).await {
                tracing::error!(%error, "a hint was lost");
            }
        });
        Ok(())
    }
}

/// Asks the provider to call the console once a SIM has changed.
pub(crate) fn callbacks(links: Links, clock: SharedClock) -> Callbacks {
    Callbacks::new(move |sim| links.hint_url(sim, clock.now()))
}

/// Secrets that are known beforehand.
pub(crate) struct FixedSecrets(pub(crate) WebhookSecrets);

impl Secrets for FixedSecrets {
    async fn fetch(&self) -> Result<WebhookSecrets, Box<dyn Error + Send + Sync>> {
        Ok(self.0.clone())
    }
}

/// An embedded table, served on loopback and reached through the real SDK.
pub(crate) struct LocalTable {
    /// Through the functions' own adapter.
    pub(crate) table: Table,
    /// Where it is served.
    pub(crate) endpoint: String,
}

impl LocalTable {
    /// An empty table in memory, with this policy as its first version.
    pub(crate) async fn start(policy: &Policy, now: Timestamp) -> Result<Self, CliError> {
        let (client, endpoint) = Self::serve().await?;
        Self::begin(client, endpoint, policy, now).await
    }

    /// The same without a stream of its changes, which no one will read: the embedded table looks
    /// through all of the stream with each write.
    pub(crate) async fn start_unstreamed(
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Self, CliError> {
        let fault = CliError::local("switching the embedded table's stream off");
        let (client, endpoint) = Self::serve().await?;
        let off = StreamSpecification::builder().stream_enabled(false).build();
        let off = off.map_err(|error| fault(error.into()))?;
        let request = client.update_table().table_name(TABLE).stream_specification(off);
        Box::pin(request.send()).await.map_err(|error| fault(error.into()))?;
        Self::begin(client, endpoint, policy, now).await
    }

    async fn serve() -> Result<(dynamodb::Client, String), CliError> {
        let fault = CliError::local("starting the embedded table");
        let database = dynoxide::Database::memory().map_err(|error| fault(error.into()))?;
        let (listener, endpoint) = listen("127.0.0.1:0").await?;
        tokio::spawn(dynoxide::server::serve_on(listener, database));
        let client = dynamodb::Client::new(&simfuse_aws::client::local_config(&endpoint));
        create_table(&client, TABLE).await.map_err(|error| fault(error.into()))?;
        Ok((client, endpoint))
    }

    async fn begin(
        client: dynamodb::Client,
        endpoint: String,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Self, CliError> {
        let fault = CliError::local("starting the embedded table");
        let table = Table::new(client, TABLE);
        let replaced = table.replace_policy(&first_policy(policy, now)).await;
        replaced.map_err(|error| fault(error.into()))?;
        Ok(Self { table, endpoint })
    }

    /// The stream of the table's changes, from its beginning.
    pub(crate) fn stream(&self) -> Stream {
        Stream::new(&self.endpoint, TABLE)
    }
}

/// The policy that a local table begins with.
fn first_policy(policy: &Policy, at: Timestamp) -> PolicyChange {
    let (by, reason) = (SIMFUSE.to_owned(), "what it was started with".to_owned());
    let audit = AuditEntry {
        sim: None,
        fleet: None,
        at,
        id: "policy-1".to_owned(),
        actor: by.clone(),
        action: "policy_apply".to_owned(),
        phase: Phase::Outcome,
        reason: reason.clone(),
        incident: None,
    };
    let applied = Applied { by, at, reason };
    PolicyChange { policy: policy.clone(), read_number: 0, applied, audit }
}

/// Listens on an address of loopback; also says the URL.
pub(crate) async fn listen(address: &str) -> Result<(TcpListener, String), CliError> {
    let listener = TcpListener::bind(address).await;
    let doing = format!("listening on {address}");
    let listener = listener.map_err(|error| CliError::local(&doing)(error.into()))?;
    let address = listener.local_addr();
    let address = address.map_err(|error| CliError::local(&doing)(error.into()))?;
    Ok((listener, format!("http://{address}")))
}

/// The simulated Super SIM service, served on loopback.
pub(crate) struct LocalService {
    /// The service.
    pub(crate) service: SuperSimService,
    /// Where it is served.
    pub(crate) origin: String,
    /// With what it is called.
    credentials: ApiCredentials,
}

impl LocalService {
    /// A service without SIMs.
    pub(crate) async fn start(clock: SharedClock) -> Result<Self, CliError> {
        let (auth_token, client_secret) = (random_secret(), random_secret());
        let config = ServiceConfig {
            account_sid: ACCOUNT_SID.to_owned(),
            auth_token: auth_token.clone(),
            client_id: "local".to_owned(),
            client_secret,
        };
        let service = SuperSimService::new(config, clock);
        let (listener, origin) = listen("127.0.0.1:0").await?;
        let serving = service.clone();
        tokio::spawn(async move {
            if let Err(error) = serving.serve(listener).await {
                tracing::error!(%error, "the simulated service stopped");
            }
        });
        let account_sid = ACCOUNT_SID.to_owned();
        let auth_token = SecretString::from(auth_token);
        let credentials = ApiCredentials::TwilioToken { account_sid, auth_token };
        Ok(Self { service, origin, credentials })
    }

    /// A client of the service.
    pub(crate) fn client(&self) -> Result<SuperSimClient, CliError> {
        client(&self.origin, None, self.credentials.clone())
    }
}

/// A client of a Super SIM API at this origin.
pub(crate) fn client(
    origin: &str,
    token_url: Option<&str>,
    credentials: ApiCredentials,
) -> Result<SuperSimClient, CliError> {
    let fault = CliError::local("making a client of the Super SIM API");
    let origin: ApiOrigin = origin.parse().map_err(|error| fault(Box::new(error)))?;
    let token_url = match token_url {
        Some(url) => url.parse(),
        None => TokenUrl::default_of(Provider::Kore),
    };
    let token_url = token_url.map_err(|error| fault(Box::new(error)))?;
    SuperSimClient::new(ClientConfig { origin, token_url, credentials })
        .map_err(|error| fault(Box::new(error)))
}

/// The webhook's own handler on this table.
pub(crate) fn webhook(
    table: Table,
    receipt: Receipt,
    clock: SharedClock,
    provider: Provider,
    secrets: WebhookSecrets,
    public_url: &str,
) -> LocalWebhook {
    let intake = Intake::new(table, receipt);
    Handler::new(intake, FixedSecrets(secrets), clock, provider, Some(public_url.to_owned()))
}

/// The kill-switch's own handler on this table.
pub(crate) fn kill_switch(
    table: Table,
    provider: SuperSimClient,
    mailbox: Mailbox,
    clock: SharedClock,
    armed: Mode,
) -> LocalKillSwitch {
    KillSwitch::new(table, provider, mailbox, clock, armed)
}

/// The console's own handler on this table, for links that are signed with this key.
pub(crate) fn console(
    table: Table,
    kill_switch: Arc<LocalKillSwitch>,
    clock: SharedClock,
    key: LinkKey,
) -> LocalConsole {
    Console::new(table, LocalSwitch(kill_switch), clock, key)
}

/// What writes links to the console there, and the key that they are signed with, which nobody can
/// guess.
pub(crate) fn links(origin: &str) -> Result<(Links, LinkKey), CliError> {
    let fault = CliError::local("preparing links in alerts");
    let key = LinkKey::new(&rand::random::<[u8; KEY_BYTES_MIN]>());
    let key = key.map_err(|error| fault(error.into()))?;
    let console = origin.parse::<ConsoleOrigin>().map_err(|error| fault(error.into()))?;
    Ok((Links::new(console, key.clone()), key))
}

/// 32 hexadecimal digits that nobody can guess.
pub(crate) fn random_secret() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}
