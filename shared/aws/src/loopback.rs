//! A service on loopback that gives prepared answers and keeps what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use axum::http::StatusCode;

/// The service.
#[derive(Clone)]
pub(crate) struct Loopback {
    endpoint: String,
    content: Arc<Mutex<Content>>,
}

struct Content {
    answers: VecDeque<(u16, String)>,
    bodies: Vec<String>,
}

impl Loopback {
    /// Gives these answers in turn; the last one for ever.
    pub(crate) async fn answering<T: Into<String>>(
        answers: impl IntoIterator<Item = (u16, T)>,
    ) -> Self {
        let answers = answers.into_iter().map(|(status, body)| (status, body.into())).collect();
        let content = Arc::new(Mutex::new(Content { answers, bodies: Vec::new() }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let service = Self { endpoint, content };
        let answering = service.clone();
        let answer = async move |body: String| {
            let (status, body) = answering.answer(body);
            (StatusCode::from_u16(status).unwrap(), body)
        };
        let app = axum::Router::new().fallback(axum::routing::post(answer));
        tokio::spawn(async move { axum::serve(listener, app).await });
        service
    }

    fn answer(&self, body: String) -> (u16, String) {
        let mut content = self.content.lock().unwrap();
        content.bodies.push(body);
        let answer = content.answers.pop_front().unwrap();
        if content.answers.is_empty() {
            content.answers.push_back(answer.clone());
        }
        answer
    }

    /// The configuration of a client of this service.
    pub(crate) fn config(&self) -> SdkConfig {
        crate::client::local_config(&self.endpoint)
    }

    /// What was asked so far.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.content.lock().unwrap().bodies.clone()
    }
}
