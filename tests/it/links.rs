//! Links in the alerts of a running `up`, followed over real sockets.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::tool::file;
use crate::up::{ENFORCE, SIM, Up};

/// One link of an alert: what stands on it, and its path.
struct Link {
    label: String,
    path: String,
}

/// The links of the first alert about an act, once it is in the mailbox.
fn links(up: &Up, action: &str) -> Vec<Link> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let mailbox = std::fs::read_to_string(up.place("mailbox")).unwrap();
        let alerts = mailbox.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut alerts = alerts.filter(|alert| alert["action"] == action);
        if let Some(alert) = alerts.next() {
            assert!(!alert["sms"].to_string().contains("/link/"), "links are for e-mail");
            let email = alert["email"].as_str().unwrap();
            let lines: Vec<&str> = email.lines().collect();
            let link = |pair: &[&str]| {
                let path = pair[1].strip_prefix(up.place("console"))?;
                let is_link = path.starts_with("/link/");
                is_link.then(|| Link { label: pair[0].to_owned(), path: path.to_owned() })
            };
            return lines.windows(2).filter_map(link).collect();
        }
        assert!(Instant::now() < until, "{mailbox}");
    }
}

/// One request, as a browser sends it: status and page.
fn browse(up: &Up, method: &str, path: &str) -> (u16, String) {
    let host = up.place("console").strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{length}");
    write!(stream, "{head}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, page) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), page.to_owned())
}

fn status(up: &Up) -> String {
    let (_, answer) = up.ask(&["status", SIM]);
    answer["sims"][0]["found"]["status"].as_str().unwrap().to_owned()
}

/// The same link with one character changed.
fn forged(link: &Link) -> String {
    let (head, last) = link.path.split_at(link.path.len() - 10);
    let other = if last.starts_with('A') { "B" } else { "A" };
    format!("{head}{other}{}", &last[1..])
}

#[test]
fn a_link_of_an_alert_switches_a_sim_on_again_once() {
    let policy = file(ENFORCE);
    let up = Up::start(|command| {
        command.args(["--mode", "enforce", "--policy"]).arg(policy.path());
    });
    up.replay_theft();
    let links = links(&up, "deactivated");
    let labels: Vec<&str> = links.iter().map(|link| link.label.as_str()).collect();
    assert_eq!(labels, ["Switch it on again:", "It was a false alarm:"]);
    let link = &links[0];

    for (method, path, status, says) in [
        ("GET", link.path.clone(), 200, "Nothing happens before that"),
        ("GET", link.path.clone(), 200, "device_not_allowed: in device"),
        ("GET", link.path.clone(), 200, "would be made active, it is inactive"),
        ("HEAD", link.path.clone(), 200, ""),
        ("PUT", link.path.clone(), 405, "Nothing was done"),
        ("GET", forged(link), 403, "no link of this console"),
        ("POST", forged(link), 403, "no link of this console"),
        ("POST", "/link/".to_owned() + &"x".repeat(3_000), 403, "no link of this console"),
    ] {
        let (found, page) = browse(&up, method, &path);
        assert!(found == status && page.contains(says), "{method} {path}: {found} {page}");
        assert!(method != "HEAD" || page.is_empty());
    }
    assert_eq!(self::status(&up), "inactive", "nothing of that did anything");

    let (code, page) = browse(&up, "POST", &link.path);
    assert!(code == 200 && page.contains("Done: "), "{code} {page}");
    assert_eq!(self::status(&up), "active");
    let (code, page) = browse(&up, "POST", &link.path);
    assert!(code == 409 && page.contains("works once"), "{code} {page}");
    let (code, page) = browse(&up, "GET", &link.path);
    assert!(
        code == 409 && page.contains("was used at") && !page.contains("<form"),
        "{code} {page}"
    );
    let (_, audit) = up.ask(&["audit", "--sim", SIM]);
    assert!(audit.to_string().contains("the link in alert HS"), "{audit}");
}

#[test]
fn a_link_about_an_incident_that_is_over_does_nothing_and_says_so() {
    let up = Up::start(|_| {});
    up.replay_theft();
    let links = links(&up, "alerted");
    let labels: Vec<&str> = links.iter().map(|link| link.label.as_str()).collect();
    assert_eq!(labels, ["Switch it off:", "It was a false alarm:"]);
    let (code, _) = up.ask(&["restore", SIM, "--reason", "a new modem"]);
    assert_eq!(code, Some(0));
    let (code, page) = browse(&up, "POST", &links[0].path);
    assert!(code == 409 && page.contains("the incident that this is about is over"), "{page}");
    assert!(page.contains(&format!("simfuse kill {SIM}")), "{page}");
    assert_eq!(status(&up), "active");
}

#[test]
fn a_false_alarm_is_said_by_a_link() {
    let up = Up::start(|_| {});
    up.replay_theft();
    let links = links(&up, "alerted");
    let (code, page) = browse(&up, "POST", &links[1].path);
    assert!(code == 200, "{code} {page}");
    let answer = up.wait_for(SIM, |answer| answer["details"]["stage"] == Value::Null);
    assert_eq!(answer["details"]["verdict"], "clear");
}
