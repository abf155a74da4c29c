use proptest::prelude::*;
use serde_json::Value;

use super::*;

const TOKEN: &str = "12345";
const BODY: &[u8] = br#"[{"a" : 1}]"#;

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

fn verifier(provider: Provider, secrets: &[&str]) -> Verifier {
    Verifier::new(provider, secrets.iter().map(|text| secret(text)).collect())
}

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/signature-vectors.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// What the verifier says to a body that Twilio signed for `signed`, when it arrives at `called`.
fn check_twilio(signed: &str, called: &str) -> Result<(), SignatureError> {
    let (signed, signature) = sign_twilio(&secret(TOKEN), signed, BODY);
    let query = signed.split_once("bodySHA256").unwrap().1;
    let separator = if called.contains('?') { '&' } else { '?' };
    let url = format!("{called}{separator}bodySHA256{query}");
    let request =
        SignedRequest { method: "POST", url: &url, signature: Some(&signature), body: BODY };
    verifier(Provider::Twilio, &[TOKEN]).verify(&request)
}

fn form_of(vector: &Value) -> Vec<(&str, &str)> {
    let form = vector["form"].as_object().unwrap();
    form.iter()
        .flat_map(|(key, value)| match value {
            Value::Array(values) => values.iter().map(|v| (&**key, v.as_str().unwrap())).collect(),
            value => vec![(&**key, value.as_str().unwrap())],
        })
        .collect()
}

#[test]
fn agrees_with_every_vector_of_twilios_libraries() {
    let vectors = vectors();
    let (mut forms, mut bodies) = (0, 0);
    for vector in vectors["twilio"]["valid"].as_array().unwrap() {
        let token = vector["auth_token"].as_str().unwrap();
        let url = vector["signed_url"].as_str().unwrap();
        let signature = vector["signature"].as_str().unwrap();
        if let Some(body) = vector["body"].as_str() {
            let body = body.as_bytes();
            let request = SignedRequest { method: "POST", url, signature: Some(signature), body };
            assert_eq!(verifier(Provider::Twilio, &[token]).verify(&request), Ok(()), "{vector}");
            bodies += 1;
        } else {
            let signed = twilio_form_signature(&secret(token), url, &form_of(vector));
            assert_eq!(signed, signature, "{vector}");
            forms += 1;
        }
    }
    for vector in vectors["twilio"]["invalid"].as_array().unwrap() {
        let url = vector["signed_url"].as_str().unwrap();
        let signed = twilio_form_signature(&secret(TOKEN), url, &form_of(vector));
        assert_ne!(signed, vector["signature"].as_str().unwrap());
    }
    assert_eq!((forms, bodies), (9, 2));
}

#[test]
fn agrees_with_every_vector_of_kores_documentation() {
    let vectors = vectors();
    let vectors = vectors["kore"]["valid"].as_array().unwrap();
    for vector in vectors {
        let text = |key: &str| vector[key].as_str().unwrap();
        let request = SignedRequest {
            method: text("method"),
            url: text("url"),
            signature: Some(text("signature")),
            body: text("body").as_bytes(),
        };
        assert_eq!(verifier(Provider::Kore, &[text("secret")]).verify(&request), Ok(()));
        let signed = sign_kore(&secret(text("secret")), request.method, request.url, request.body);
        assert_eq!(signed, text("signature"));
    }
    assert_eq!(vectors.len(), 3);
}

#[test]
fn twilio_may_sign_the_default_port_or_leave_it_out() {
    for (bare, spelt_out) in [
        ("https://h.example/events?a=1", "https://h.example:443/events?a=1"),
        ("http://h.example/events", "http://h.example:80/events"),
        ("https://h.example", "https://h.example:443"),
        ("https://h.example?q=a:b/c", "https://h.example:443?q=a:b/c"),
        ("https://user:443@h.example/e", "https://user:443@h.example:443/e"),
        ("https://user:p@ss@h.example/e", "https://user:p@ss@h.example:443/e"),
        ("https://[2001:db8::443]/e", "https://[2001:db8::443]:443/e"),
        ("HTTPS://H.Example/Events", "HTTPS://H.Example:443/Events"),
    ] {
        assert_eq!(check_twilio(bare, spelt_out), Ok(()), "{bare}");
        assert_eq!(check_twilio(spelt_out, bare), Ok(()), "{bare}");
        assert_eq!(check_twilio(bare, bare), Ok(()), "{bare}");
    }
}

#[test]
fn any_other_difference_of_the_url_is_a_mismatch() {
    for (signed, called) in [
        ("https://h.example/e", "http://h.example/e"),
        ("https://h.example/e", "https://h.example:80/e"),
        ("https://h.example/e", "https://h.example:8443/e"),
        ("https://h.example:8443/e", "https://h.example/e"),
        ("https://h.example:1443/e", "https://h.example:1/e"),
        ("https://h.example/e", "https://H.example/e"),
        ("https://h.example/e", "https://h.example/E"),
        ("https://h.example/e?a=1&b=2", "https://h.example/e?b=2&a=1"),
        ("https://h.example/e?a=%27", "https://h.example/e?a='"),
        ("https://u@h.example/e", "https://h.example/e"),
        ("ftp://h.example/e", "ftp://h.example:443/e"),
        ("h.example/e", "h.example:443/e"),
    ] {
        assert_eq!(check_twilio(signed, called), Err(SignatureError::Mismatch), "{called}");
    }
}

#[test]
fn twilio_must_say_the_hash_of_the_body() {
    let token = secret(TOKEN);
    let hash = hex::encode(Sha256::digest(BODY));
    let other = hex::encode(Sha256::digest(b"{}"));
    let upper = hash.to_uppercase();
    for (query, expected) in [
        (format!("bodySHA256={hash}"), Ok(())),
        (format!("bodySHA256={upper}"), Ok(())),
        (format!("bodySHA256={hash}&bodySHA256={upper}"), Ok(())),
        (format!("a=1&bodySHA256={hash}&b=2"), Ok(())),
        (format!("bodySHA256={other}"), Err(SignatureError::BodyHashWrong)),
        (format!("bodySHA256={hash}&bodySHA256={other}"), Err(SignatureError::BodyHashWrong)),
        (format!("bodySHA256={other}&bodySHA256={hash}"), Err(SignatureError::BodyHashWrong)),
        (format!("bodySHA256={hash}&bodySHA256"), Err(SignatureError::BodyHashWrong)),
        (format!("bodySHA256={hash}00"), Err(SignatureError::BodyHashWrong)),
        ("bodySHA256=".to_owned(), Err(SignatureError::BodyHashWrong)),
        ("bodySHA256".to_owned(), Err(SignatureError::BodyHashWrong)),
        (String::new(), Err(SignatureError::BodyHashAbsent)),
        (format!("bodysha256={hash}"), Err(SignatureError::BodyHashAbsent)),
        (format!("bodySHA2567={hash}"), Err(SignatureError::BodyHashAbsent)),
        (format!("xbodySHA256={hash}"), Err(SignatureError::BodyHashAbsent)),
        (format!("a=1#&bodySHA256={hash}"), Err(SignatureError::BodyHashAbsent)),
    ] {
        let url = format!("https://h.example/e?{query}");
        let signature = twilio_form_signature(&token, &url, &[]);
        let request =
            SignedRequest { method: "POST", url: &url, signature: Some(&signature), body: BODY };
        assert_eq!(verifier(Provider::Twilio, &[TOKEN]).verify(&request), expected, "{query}");
    }
}

#[test]
fn kore_signs_neither_query_nor_fragment_nor_whitespace() {
    let spaced = b" [ {\"a b\\\\\" :\t\"c \\\" d\" ,\r\n\"n\": 1.0e+05 } ] \n";
    let minified = br#"[{"a b\\":"c \" d","n":1.0e+05}]"#;
    let signed = sign_kore(&secret("s"), "POST", "https://h.example/e", minified);
    let check = |method: &str, url: &str, signature: &str, body: &[u8]| {
        let request = SignedRequest { method, url, signature: Some(signature), body };
        verifier(Provider::Kore, &["s"]).verify(&request)
    };
    let url = "https://h.example/e?a=1#b";
    assert_eq!(check("POST", url, &signed, minified), Ok(()));
    assert_eq!(check("POST", url, &signed, spaced), Ok(()));
    assert_eq!(check("POST", url, &signed.to_uppercase(), spaced), Ok(()));

    let mismatch = Err(SignatureError::Mismatch);
    let inside = br#"[{"a  b\\":"c \" d","n":1.0e+05}]"#;
    assert_eq!(check("POST", url, &signed, inside), mismatch, "whitespace in a string counts");
    let number = br#"[{"a b\\":"c \" d","n":100000}]"#;
    assert_eq!(check("POST", url, &signed, number), mismatch, "and so does a number's text");
    assert_eq!(check("GET", url, &signed, minified), mismatch);
    assert_eq!(check("POST", "https://h.example/f", &signed, minified), mismatch);
    assert_eq!(check("POST", url, &format!("{signed}00"), minified), mismatch);
    assert_eq!(check("POST", url, "not hexadecimal", minified), mismatch);
    let as_sent = sign_kore(&secret("s"), "POST", url, spaced);
    assert_eq!(check("POST", url, &as_sent, spaced), Ok(()), "raw bytes come first");
    assert_eq!(check("POST", url, &as_sent, minified), mismatch);
}

/// A request that is rightly signed with `secret`.
fn check_secrets(provider: Provider, known: &[&str], used: &str) -> Result<(), SignatureError> {
    let url = "https://h.example/e";
    let (url, signature) = match provider {
        Provider::Twilio => sign_twilio(&secret(used), url, BODY),
        Provider::Kore => (url.to_owned(), sign_kore(&secret(used), "POST", url, BODY)),
    };
    let request =
        SignedRequest { method: "POST", url: &url, signature: Some(&signature), body: BODY };
    verifier(provider, known).verify(&request)
}

#[test]
fn a_secret_may_have_any_length_but_none() {
    let long = "s".repeat(10_000);
    for provider in [Provider::Twilio, Provider::Kore] {
        for used in ["a", "é", &"k".repeat(64), &"k".repeat(65), &long] {
            assert_eq!(check_secrets(provider, &[used], used), Ok(()));
            assert_eq!(check_secrets(provider, &["old", used], used), Ok(()));
            assert_eq!(check_secrets(provider, &[used, "new"], used), Ok(()));
            let mismatch = Err(SignatureError::Mismatch);
            assert_eq!(check_secrets(provider, &["old", "new"], used), mismatch);
        }
        assert_eq!(check_secrets(provider, &[], ""), Err(SignatureError::NoSecret));
        assert_eq!(check_secrets(provider, &[""], ""), Err(SignatureError::NoSecret));
        assert_eq!(check_secrets(provider, &["", "s"], ""), Err(SignatureError::Mismatch));
    }
}

#[test]
fn no_signature_is_no_signature() {
    for provider in [Provider::Twilio, Provider::Kore] {
        for signature in [None, Some("")] {
            let url = "https://h.example/e";
            let request = SignedRequest { method: "POST", url, signature, body: BODY };
            let result = verifier(provider, &["s"]).verify(&request);
            assert_eq!(result, Err(SignatureError::Absent));
        }
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let text = format!("{:?}", verifier(Provider::Kore, &["hunter2"]));
    assert_eq!(text, "Verifier { provider: Kore, secrets: 1 }");
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_a_changed_byte_does_not(
        key in ".{1,80}",
        body in proptest::collection::vec(any::<u8>(), 1..300),
        at: prop::sample::Index,
        flip in 1..=255_u8,
    ) {
        let url = "https://h.example/e?x=1";
        let mut tampered = body.clone();
        tampered[at.index(body.len())] ^= flip;
        let (twilio_url, twilio) = sign_twilio(&secret(&key), url, &body);
        let kore = sign_kore(&secret(&key), "POST", url, &body);
        for (provider, url, signature) in
            [(Provider::Twilio, &*twilio_url, twilio), (Provider::Kore, url, kore)]
        {
            let verifier = verifier(provider, &[&key]);
            let signature = Some(&*signature);
            let request = SignedRequest { method: "POST", url, signature, body: &body };
            prop_assert_eq!(verifier.verify(&request), Ok(()));
            let request = SignedRequest { body: &tampered, ..request };
            prop_assert!(verifier.verify(&request).is_err());
        }
    }

    #[test]
    fn no_url_makes_the_verifier_panic(url in ".*", signature in ".*") {
        for provider in [Provider::Twilio, Provider::Kore] {
            let signature = Some(&*signature);
            let request = SignedRequest { method: "POST", url: &url, signature, body: BODY };
            prop_assert!(verifier(provider, &["s"]).verify(&request).is_err());
        }
    }
}
