//! Counts what is asked of the API server, and how it ends.

use std::task::{Context, Poll};

use futures::{FutureExt, future::BoxFuture};
use hyper::{Method, Request, Response, StatusCode};
use tower::Service;

use super::METRICS;

/// What [`verb`] and [`class`] say, and where there is no answer.
pub(super) const VERBS: [&str; 5] = ["read", "watch", "create", "patch", "other"];
pub(super) const CODES: [&str; 7] = ["2xx", "3xx", "4xx", "409", "429", "5xx", "none"];

/// A client's service, counted.
#[derive(Clone, Debug)]
pub(crate) struct Counted<S>(S);

impl<S> Counted<S> {
    pub(crate) fn new(service: S) -> Self {
        Self(service)
    }
}

impl<S, A, B> Service<Request<A>> for Counted<S>
where
    S: Service<Request<A>, Response = Response<B>, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let verb = verb(request.method(), request.uri().query().unwrap_or_default());
        let answer = self.0.call(request);
        let counted = answer.inspect(move |answer| {
            let code = answer.as_ref().map_or("none", |answer| class(answer.status()));
            METRICS.api_requests.of([verb, code]).inc();
        });
        counted.boxed()
    }
}

fn verb(method: &Method, query: &str) -> &'static str {
    match method.as_str() {
        "GET" if query.split('&').any(|part| part == "watch=true") => "watch",
        "GET" => "read",
        "POST" => "create",
        "PATCH" => "patch",
        _ => "other",
    }
}

/// Conflicts and refusals of too much are part of the work, and so apart from other errors.
fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        409 => "409",
        429 => "429",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use tower::service_fn;

    use super::*;

    /// By a verb that nothing else uses: the numbers are the process's.
    #[tokio::test]
    async fn each_call_is_counted_once_by_its_answer() {
        for (answer, class) in [
            (Some(200), "2xx"),
            (Some(404), "4xx"),
            (Some(409), "409"),
            (Some(429), "429"),
            (Some(503), "5xx"),
            (None, "none"),
        ] {
            let mut service = Counted::new(service_fn(move |_: Request<()>| async move {
                let code = answer.ok_or("nobody answers")?;
                Ok::<_, &str>(Response::builder().status(code).body(()).unwrap())
            }));
            let before = METRICS.api_requests.of(["other", class]).get();
            let answered = service.call(Request::delete("/").body(()).unwrap()).await;
            assert_eq!(answered.is_ok(), answer.is_some());
            assert_eq!(METRICS.api_requests.of(["other", class]).get(), before + 1, "{answer:?}");
        }
    }

    #[test]
    fn verbs_and_codes_are_few() {
        assert_eq!(verb(&Method::GET, "allowWatchBookmarks=true&watch=true"), "watch");
        assert_eq!(verb(&Method::GET, "fieldSelector=metadata.name%3Dwatch%3Dtrue"), "read");
        assert_eq!(verb(&Method::DELETE, ""), "other");
        assert_eq!(
            [200, 304, 404, 409, 429, 503].map(|code| class(StatusCode::from_u16(code).unwrap())),
            ["2xx", "3xx", "4xx", "409", "429", "5xx"]
        );
    }
}
