//! The server and its description say the same.

use std::collections::{BTreeMap, BTreeSet};

use etcdtap::control::{self, MOST_BODY_BYTES};
use serde_json::{Value, json};

use super::exchange::{Answer, Ask};
use super::schema::Schemas;
use super::service::{Options, Service, TOKEN};

const METHODS: [&str; 8] = [
    "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE",
];

fn description() -> Value {
    serde_json::from_str(control::OPENAPI).unwrap()
}

/// Path and method of every operation, with what is said of it.
fn operations(description: &Value) -> BTreeMap<(String, String), Value> {
    let paths = description["paths"].as_object().unwrap();
    let mut operations = BTreeMap::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            if METHODS.contains(&method.to_uppercase().as_str()) {
                let key = (path.clone(), method.to_uppercase());
                operations.insert(key, operation.clone());
            }
        }
    }
    operations
}

#[test]
fn every_route_is_described_and_no_other() {
    let described: BTreeSet<_> = operations(&description()).into_keys().collect();
    let routes: BTreeSet<_> = control::described()
        .map(|(path, method)| (path.to_owned(), method))
        .collect();
    assert_eq!(described, routes);
}

fn fault(name: &str) -> Value {
    json!({ "name": name, "action": { "delay": { "response": "5ms" } } })
}

/// Requests that bring about every status, by the operation they belong to.
fn cases() -> Vec<(&'static str, Ask, u16)> {
    let path = "/v1/faults";
    let ask = |method: &str, target: &str| Ask::new(method, target).token(TOKEN);
    let one = "/v1/faults/{name}";
    let mut cases = vec![
        (path, ask("GET", path), 200),
        (path, ask("POST", path).json(fault("added")), 201),
        (
            path,
            ask("POST", "/v1/faults?for=1h").json(fault("for-an-hour")),
            201,
        ),
        (
            path,
            ask("POST", "/v1/faults?for=forever").json(fault("for-ever")),
            201,
        ),
        (path, ask("POST", path).json(fault("stands")), 409),
        (path, ask("POST", path).json("{\"name\":"), 400),
        (
            path,
            ask("POST", path).json(json!({ "name": "No", "akcion": 1 })),
            400,
        ),
        (path, ask("POST", "/v1/faults?for=5").json(fault("n")), 400),
        (path, ask("POST", "/v1/faults?fro=5s").json(fault("n")), 400),
        (path, ask("POST", path).raw(fault("n")), 415),
        (
            path,
            ask("POST", path)
                .header("content-type", "text/plain")
                .raw(fault("n")),
            415,
        ),
        (
            path,
            ask("POST", path).json(" ".repeat(MOST_BODY_BYTES + 1)),
            413,
        ),
        ("/v1/openapi.json", ask("GET", "/v1/openapi.json"), 200),
        (
            "/v1/plan-schema.json",
            ask("GET", "/v1/plan-schema.json"),
            200,
        ),
        ("/healthz", Ask::new("GET", "/healthz"), 200),
    ];
    let plans = "/v1/plans";
    let plan = |names: &[&str]| json!({ "faults": names.iter().map(|name| fault(name)).collect::<Vec<_>>() });
    cases.extend([
        (plans, ask("POST", plans).json(plan(&["p1", "p2"])), 201),
        (plans, ask("POST", plans).json(plan(&["p3", "stands"])), 409),
        (one, ask("GET", "/v1/faults/p3"), 404),
        (one, ask("GET", "/v1/faults/p2"), 200),
        (plans, ask("POST", plans).json(plan(&["p3", "No"])), 400),
        (plans, ask("POST", plans).json(plan(&[])), 400),
        (plans, ask("POST", plans).raw(plan(&["p3"])), 415),
        (
            plans,
            ask("POST", plans).json(" ".repeat(MOST_BODY_BYTES + 1)),
            413,
        ),
    ]);
    cases.extend([
        (one, ask("GET", "/v1/faults/stands"), 200),
        (one, ask("GET", "/v1/faults/absent"), 404),
        (
            one,
            ask("PUT", "/v1/faults/stands").json(fault("stands")),
            200,
        ),
        (
            one,
            ask("PUT", "/v1/faults/stands").json(fault("other")),
            400,
        ),
        (
            one,
            ask("PUT", "/v1/faults/absent").json(fault("absent")),
            404,
        ),
        (
            one,
            ask("PUT", "/v1/faults/stands").raw(fault("stands")),
            415,
        ),
        (
            one,
            ask("PUT", "/v1/faults/stands").json(" ".repeat(MOST_BODY_BYTES + 1)),
            413,
        ),
        (one, ask("DELETE", "/v1/faults/absent"), 404),
        (
            "/v1/faults/{name}/pause",
            ask("POST", "/v1/faults/stands/pause"),
            200,
        ),
        (
            "/v1/faults/{name}/pause",
            ask("POST", "/v1/faults/absent/pause"),
            404,
        ),
        (
            "/v1/faults/{name}/resume",
            ask("POST", "/v1/faults/stands/resume"),
            200,
        ),
        (
            "/v1/faults/{name}/resume",
            ask("POST", "/v1/faults/absent/resume"),
            404,
        ),
        (one, ask("DELETE", "/v1/faults/stands"), 200),
    ]);
    let measured = "/v1/measurement";
    cases.extend([
        (measured, ask("GET", measured), 404),
        (measured, ask("DELETE", measured), 404),
        (measured, ask("PUT", measured).json("{\"nam\": \"x\"}"), 400),
        (measured, ask("PUT", measured).raw("{}"), 415),
        (
            measured,
            ask("PUT", measured).json(" ".repeat(MOST_BODY_BYTES + 1)),
            413,
        ),
        (
            measured,
            ask("PUT", measured).json("{\"name\": \"x\"}"),
            201,
        ),
        (measured, ask("PUT", measured).json("{}"), 409),
        (measured, ask("GET", measured), 200),
        (
            measured,
            ask("DELETE", "/v1/measurement?from=2026-11-03T08:05:32Z"),
            400,
        ),
        (
            measured,
            ask(
                "DELETE",
                "/v1/measurement?from=2026-11-03T08:05:32Z&to=2026-11-03T08:05:31Z",
            ),
            400,
        ),
        (
            measured,
            ask(
                "DELETE",
                "/v1/measurement?from=2026-11-03T08:05:32Z&to=2026-11-03T08:05:33Z",
            ),
            200,
        ),
    ]);
    // What the head alone decides is the same everywhere.
    for (template, method) in control::described() {
        let target = template.replace("{name}", "stands");
        if template != "/healthz" {
            cases.push((template, Ask::new(&method, &target), 401));
            cases.push((
                template,
                Ask::new(&method, &target).token("wrong-wrong-wrong"),
                401,
            ));
        }
        let foreign = ask(&method, &target).header("host", "evil.example");
        cases.push((template, foreign, 403));
        let slip = ask(&method, &format!("{target}?slip=1")).json(fault("stands"));
        cases.push((template, slip, 400));
    }
    cases.push((path, ask("DELETE", path), 200));
    cases
}

/// Asserts that the answer is one of those that are described, and fits.
fn assert_described(schemas: &Schemas, operation: &Value, status: u16, answer: &Answer) {
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("server").unwrap().starts_with("etcdtap/"));
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let response = &operation["responses"][status.to_string()];
    assert!(
        !response.is_null(),
        "{status} of {operation} is not described"
    );
    let schema = &response["content"]["application/json"]["schema"];
    if let Some(why) = schemas.misfit("", schema, &answer.json()) {
        panic!("{status} of {}: {why}", operation["operationId"]);
    }
    for (name, header) in response["headers"].as_object().into_iter().flatten() {
        let value = answer.header(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(schemas.misfit("", &header["schema"], &json!(value)), None);
    }
}

async fn service() -> Service {
    let options = Options {
        token: true,
        ..Options::default()
    };
    let service = options.start();
    let stands = Ask::new("POST", "/v1/faults")
        .token(TOKEN)
        .json(fault("stands"));
    assert_eq!(stands.of(&service).await.status, 201);
    service
}

#[tokio::test]
async fn every_answer_is_one_of_those_described() {
    let service = service().await;
    let description = description();
    let plan = serde_json::from_str(etcdtap::fault::plan::SCHEMA).unwrap();
    let schemas = Schemas::new([("", description.clone()), ("plan-schema.json", plan)]);
    let operations = operations(&description);
    let mut seen = BTreeSet::new();
    for (template, ask, status) in cases() {
        let answer = ask.of(&service).await;
        assert_eq!(answer.status, status, "{ask:?}: {answer:?}");
        let key = (template.to_owned(), ask.method().to_owned());
        assert_described(&schemas, &operations[&key], status, &answer);
        seen.insert((key, status.to_string()));
    }
    for (key, operation) in operations {
        for status in operation["responses"].as_object().unwrap().keys() {
            // A body that never comes takes its ten seconds; a trace that has
            // ended while its proxy runs is a bug of ours.
            let is_seen = seen.contains(&(key.clone(), status.clone()));
            assert!(
                is_seen || ["408", "503"].contains(&status.as_str()),
                "{key:?} never answered {status}"
            );
        }
    }
}

#[tokio::test]
async fn other_methods_are_answered_405() {
    let service = service().await;
    let described: BTreeSet<_> = control::described().collect();
    let paths: BTreeSet<_> = described.iter().map(|(path, _)| *path).collect();
    for path in paths {
        let known: Vec<&str> = METHODS
            .into_iter()
            .filter(|method| described.contains(&(path, (*method).to_owned())))
            .collect();
        for method in METHODS {
            if known.contains(&method) {
                continue;
            }
            let target = path.replace("{name}", "stands");
            let answer = Ask::new(method, &target).token(TOKEN).of(&service).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            let allowed: BTreeSet<_> = answer.header("allow").unwrap().split(", ").collect();
            assert_eq!(allowed, known.iter().copied().collect(), "{method} {path}");
        }
    }
    let nothing = Ask::new("GET", "/v2/faults")
        .token(TOKEN)
        .of(&service)
        .await;
    assert_eq!(nothing.status, 404);
}

#[tokio::test]
async fn the_documents_are_served_as_they_stand() {
    let service = service().await;
    for (path, document) in [
        ("/v1/openapi.json", control::OPENAPI),
        ("/v1/plan-schema.json", etcdtap::fault::plan::SCHEMA),
    ] {
        let answer = Ask::new("GET", path).token(TOKEN).of(&service).await;
        assert_eq!(answer.body, document);
    }
}

#[tokio::test]
async fn its_examples_and_defaults_hold() {
    let service = service().await;
    let description = description();
    let add = &description["paths"]["/v1/faults"]["post"];
    let example = &add["requestBody"]["content"]["application/json"]["example"];
    let asked = Ask::new("POST", "/v1/faults").token(TOKEN).json(example);
    let answer = asked.of(&service).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.json()["fault"]["name"], example["name"]);
    let listed = service.armory.list(std::time::Instant::now());
    let names: Vec<&str> = listed.iter().map(|one| &*one.fault.name).collect();
    assert_eq!(names, ["stands", "slow-lists"]);
    let add_plan = &description["paths"]["/v1/plans"]["post"];
    let example = &add_plan["requestBody"]["content"]["application/json"]["example"];
    let asked = Ask::new("POST", "/v1/plans").token(TOKEN).json(example);
    let answer = asked.of(&service).await;
    assert_eq!(answer.status, 409, "slow-lists stands already: {answer:?}");
    service.armory.remove("slow-lists").unwrap();
    assert_eq!(asked.of(&service).await.status, 201);
    let usual = add["parameters"][0]["schema"]["default"].as_str().unwrap();
    let usual = etcdtap::notation::parse_duration(usual).unwrap();
    assert_eq!(usual, control::TIME_TO_LIVE);
    let server = description["servers"][0]["url"].as_str().unwrap();
    assert_eq!(server, format!("http://{}", control::Address::DEFAULT));
}
