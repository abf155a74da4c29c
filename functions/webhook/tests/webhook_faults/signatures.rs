//! Who is believed, and by which URL.

use serde_json::json;
use simfuse_supersim::Provider;
use simfuse_webhook::intake::Receipt;

use crate::bench::{Answer, BOTH, Bench, SECRET, URL, arriving, body, held, signed, sim, update};

async fn nothing_is_stored(bench: &Bench) {
    assert_eq!(held(&bench.memory, 3).await, (vec![None, None, None], [].into()));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_signed_is_refused_and_leaves_no_trace() {
    for provider in BOTH {
        let bench = Bench::new(provider).await;
        let body = body(&[update(provider, 1, 0)]);
        let good = signed(provider, SECRET, URL, &body);
        let query = good.raw_query_string.clone().unwrap();
        let header = provider.signature_header();
        let signature = good.headers[header].to_str().unwrap().to_owned();
        let url = format!("{URL}?{query}");

        let mut cases = vec![
            ("by a forger", signed(provider, "another secret", URL, &body)),
            ("by nobody", arriving(provider, &url, None, &body)),
            ("by an empty header", arriving(provider, &url, Some(""), &body)),
            ("by garbage", arriving(provider, &url, Some("ÿ"), &body)),
            (
                "for another path",
                arriving(provider, &format!("{URL}x?{query}"), Some(&signature), &body),
            ),
        ];
        let mut get = good.clone();
        get.request_context.http.method = Some("PUT".to_owned());
        let mut elsewhere = good.clone();
        elsewhere.request_context.domain_name = Some("example.com".to_owned());
        cases.push(("for another host", elsewhere));
        let mut tampered = body.clone();
        let last = tampered.len() - 3;
        tampered[last] ^= 1;
        let changed = arriving(provider, &url, Some(&signature), &tampered);
        cases.push(("for another body", changed));
        if provider == Provider::Twilio {
            let bare = signature_of_bare_url();
            cases.push(("without a hash", arriving(provider, URL, Some(&bare), &body)));
        } else {
            cases.push(("for another method", get));
        }
        for (what, request) in cases {
            let answer = bench.send(request).await;
            assert_eq!(answer.status, 403, "{provider}: signed {what}");
            assert_eq!(answer.tally, None);
        }
        nothing_is_stored(&bench).await;
        assert_eq!(bench.table.calls(simfuse_testkit::faulty::Method::Beat), 0);
        assert_eq!(bench.send(good).await.status, 200, "{provider}");
    }
}

/// What Twilio would sign if it sent a form: the URL alone, which says nothing about the body.
fn signature_of_bare_url() -> String {
    let secret = secrecy::SecretString::from(SECRET);
    simfuse_supersim::signature::twilio_form_signature(&secret, URL, &[])
}

#[tokio::test(start_paused = true)]
async fn the_host_header_is_never_believed() {
    for provider in BOTH {
        let bench = Bench::new(provider).await;
        let body = body(&[update(provider, 1, 0)]);
        let mut request = signed(provider, SECRET, "https://evil.example/", &body);
        for header in ["host", "x-forwarded-host", "x-original-host", "forwarded"] {
            request.headers.insert(header, "evil.example".parse().unwrap());
        }
        assert_eq!(bench.send(request).await.status, 403);
        let mut request = signed(provider, SECRET, URL, &body);
        request.headers.insert("host", "evil.example".parse().unwrap());
        assert_eq!(bench.send(request).await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_configured_url_stands_for_the_functions_own() {
    for provider in BOTH {
        for (configured, called) in [
            ("https://events.example.com/hook", "https://events.example.com/hook"),
            ("https://events.example.com/hook?key=1", "https://events.example.com/hook?key=1"),
            ("https://events.example.com/hook?key=1#top", "https://events.example.com/hook?key=1"),
            ("https://events.example.com/hook", "https://events.example.com/hook?a=%2F&b=c%20d"),
            ("http://localhost:9000/events", "http://localhost:9000/events"),
        ] {
            let bench = Bench::with(provider, Receipt::Live, Some(configured)).await;
            let body = body(&[update(provider, 1, 0)]);
            let request = signed(provider, SECRET, called, &body);
            assert_eq!(bench.send(request).await.status, 200, "{provider} {configured} {called}");
            let request = signed(provider, SECRET, URL, &body);
            assert_eq!(bench.send(request).await.status, 403, "the function's own is not called");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn twilio_may_spell_out_the_default_port() {
    for url in ["https://events.example.com:443/hook", "https://events.example.com/hook"] {
        for configured in ["https://events.example.com:443/hook", "https://events.example.com/hook"]
        {
            let bench = Bench::with(Provider::Twilio, Receipt::Live, Some(configured)).await;
            let body = body(&[update(Provider::Twilio, 1, 0)]);
            let request = signed(Provider::Twilio, SECRET, url, &body);
            assert_eq!(bench.send(request).await.status, 200, "{configured} called as {url}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_counts_as_it_came_encoded_or_not() {
    for provider in BOTH {
        for pretty in [false, true] {
            let bench = Bench::new(provider).await;
            let events = [update(provider, 1, 0)];
            let text = if pretty {
                serde_json::to_string_pretty(&events).unwrap()
            } else {
                serde_json::to_string(&events).unwrap()
            };
            let mut request = signed(provider, SECRET, URL, text.as_bytes());
            request.body = Some(text.clone());
            request.is_base64_encoded = false;
            assert_eq!(bench.send(request.clone()).await.status, 200, "{provider}");
            // It says that it is encoded, and is not: its bytes are what was signed.
            request.is_base64_encoded = true;
            assert_eq!(bench.send(request).await.status, 200, "{provider}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn kores_signature_of_the_bare_json_is_taken() {
    let bench = Bench::new(Provider::Kore).await;
    let event = update(Provider::Kore, 1, 0);
    let bare = body(std::slice::from_ref(&event));
    let spaced = serde_json::to_vec_pretty(&[event]).unwrap();
    let signature = signed(Provider::Kore, SECRET, URL, &bare).headers
        [Provider::Kore.signature_header()]
    .to_str()
    .unwrap()
    .to_owned();
    let request = arriving(Provider::Kore, URL, Some(&signature), &spaced);
    assert_eq!(bench.send(request).await.status, 200);
}

async fn with(bench: &Bench, secret: &str, report: i64) -> Answer {
    let body = body(&[update(bench.provider, 1, report)]);
    bench.send(signed(bench.provider, secret, URL, &body)).await
}

#[tokio::test(start_paused = true)]
async fn a_rotated_secret_is_fetched_once_a_minute_and_no_more() {
    for provider in BOTH {
        let bench = Bench::new(provider).await;
        assert_eq!(with(&bench, SECRET, 0).await.status, 200);
        bench.secrets.set(Some(json!(["new secret", SECRET])));
        for _forged in 0..5 {
            assert_eq!(with(&bench, "forged", 1).await.status, 403);
        }
        assert_eq!(bench.secrets.fetched(), 1, "not within the first minute");
        bench.pass(60);
        for _forged in 0..5 {
            assert_eq!(with(&bench, "forged", 1).await.status, 403);
        }
        assert_eq!(bench.secrets.fetched(), 2);
        assert_eq!(with(&bench, "new secret", 1).await.status, 200);
        assert_eq!(with(&bench, SECRET, 2).await.status, 200, "both, while it is rotated");
        bench.secrets.set(Some(json!("new secret")));
        bench.pass(60);
        assert_eq!(with(&bench, "new secret", 3).await.status, 200);
        assert_eq!(bench.secrets.fetched(), 2, "what matches needs no fetching");
        assert_eq!(with(&bench, "forged", 4).await.status, 403);
        assert_eq!(with(&bench, SECRET, 4).await.status, 403, "the old one is over");
        assert_eq!(bench.secrets.fetched(), 3);
        // A request without a signature is no sign of a rotation.
        bench.pass(60);
        let unsigned = arriving(provider, URL, None, b"[]");
        assert_eq!(bench.send(unsigned).await.status, 403);
        assert_eq!(bench.secrets.fetched(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_secret_is_out_of_reach_nothing_is_refused_for_good() {
    for provider in BOTH {
        let bench = Bench::new(provider).await;
        bench.secrets.set(None);
        assert_eq!(with(&bench, SECRET, 0).await.status, 503);
        assert_eq!(
            bench.handler.warm().await.map_err(|error| error.to_string()),
            Err("reading the webhook's secret".to_owned())
        );
        nothing_is_stored(&bench).await;
        bench.secrets.set(Some(json!(SECRET)));
        assert_eq!(with(&bench, SECRET, 0).await.status, 200, "at once, when it is back");

        // It may have been rotated, and cannot be fetched: what does not match may yet be right.
        bench.pass(60);
        bench.secrets.set(None);
        let before = bench.secrets.fetched();
        for _sent in 0..5 {
            assert_eq!(with(&bench, "new secret", 1).await.status, 503);
        }
        assert_eq!(bench.secrets.fetched(), before + 1, "once a minute, in vain as well");
        assert_eq!(with(&bench, SECRET, 1).await.status, 200, "the one at hand still holds");
        bench.secrets.set(Some(json!("new secret")));
        bench.pass(60);
        assert_eq!(with(&bench, "new secret", 2).await.status, 200);
        assert!(bench.stored(1).await.is_some_and(|stored| stored.state.sim == sim(1)));
    }
}
