//! Section 4: which example answers, in which media type, and what templates put into it.

use crate::harness::*;

async fn serving(paths: &str) -> Standin {
    Standin::with().paths(paths).start().await
}

#[track_caller]
fn names(response: &Response, example: &str) {
    response.is_mock();
    assert_eq!(response.header("x-standin-example"), Some(example), "{}", response.text());
}

// Which example.

const BY_VALUES: &str = "
    /items/{id}:
      get:
        operationId: getItem
        parameters:
          - {name: id, in: path, required: true, schema: {type: integer},
             examples: {one: {value: 1}, two: {value: '2'}, wide: {value: 2}}}
          - {name: view, in: query, schema: {type: string}, examples: {wide: {value: wide}}}
          - {name: X-Level, in: header, schema: {type: string}, examples: {loud: {value: high}}}
          - {name: session, in: cookie, schema: {type: string}, examples: {member: {value: s3cret}}}
          - {name: tag, in: query, schema: {type: array, items: {type: string}}, examples: {tagged: {value: [a, b]}}}
        responses:
          '200':
            description: ok
            content:
              application/json:
                examples:
                  one: {value: {is: one}}
                  two: {value: {is: two}}
                  wide: {value: {is: wide}}
                  loud: {value: {is: loud}}
                  member: {value: {is: member}}
                  tagged: {value: {is: tagged}}
";

#[tokio::test]
async fn the_example_whose_values_the_request_has_answers() {
    let standin = serving(BY_VALUES).await;
    let cases = [
        (get("/items/1"), "one"),
        (get("/items/2"), "two"),
        (get("/items/%32"), "two"),
        (get("/items/9").header("x-level", "high"), "loud"),
        (get("/items/9").header("X-LEVEL", "high"), "loud"),
        (get("/items/9").header("Cookie", "a=b; session=s3cret; c=d"), "member"),
        (get("/items/9?tag=a&tag=b"), "tagged"),
        (get("/items/9?tag=b&tag=a"), "tagged"),
        (get("/items/9?other=1&tag=b&tag=%61"), "tagged"),
        // Two values that fit beat one.
        (get("/items/2?view=wide"), "wide"),
        (get("/items/2?view=narrow"), "two"),
        // One value each: document order.
        (get("/items/1").header("x-level", "high"), "one"),
        // None fits: the first of the lowest 2xx.
        (get("/items/9"), "one"),
        (get("/items/9?tag=a"), "one"),
        (get("/items/9?view=wide"), "one"),
    ];
    for (request, expected) in cases {
        let asked = format!("{request:?}");
        let response = standin.send(request).await;
        assert_eq!(response.text(), format!(r#"{{"is":"{expected}"}}"#), "{asked}");
        names(&response, expected);
    }
}

#[tokio::test]
async fn where_none_fits_reject_names_the_examples_there_are() {
    let standin = Standin::with().paths(BY_VALUES).config("unmatched: reject\n").start().await;
    let response = standin.get("/items/9").await;
    response.is_problem(404, "no-example-fits");
    for name in ["one", "two", "wide", "loud", "member", "tagged"] {
        assert!(response.text().contains(name), "no `{name}` in {}", response.text());
    }
    standin.get("/items/1").await.is(200, r#"{"is":"one"}"#);
}

#[tokio::test]
async fn unmatched_can_be_set_for_an_operation() {
    let by_extension = BY_VALUES.replace("operationId: getItem", "x-standin: {unmatched: reject}");
    let standin = serving(&by_extension).await;
    standin.get("/items/9").await.is_problem(404, "no-example-fits");
    let rule = "rules: [{operations: [getItem], unmatched: reject}]\n";
    let standin = Standin::with().paths(BY_VALUES).config(rule).start().await;
    standin.get("/items/9").await.is_problem(404, "no-example-fits");
}

const BY_BODY: &str = "
    /orders:
      post:
        requestBody:
          content:
            application/json:
              examples:
                tea: {value: {drink: tea, sugar: 1, with: [milk, lemon]}}
                coffee: {value: {drink: coffee}}
        responses:
          '201':
            description: ok
            content:
              application/json:
                examples:
                  tea: {value: {is: tea}}
                  coffee: {value: {is: coffee}}
          '422':
            description: no
            content:
              application/json:
                examples:
                  beer: {value: {is: beer}}
                  tea: {value: {is: never}}
";

#[tokio::test]
async fn the_example_whose_body_equals_the_requests_as_json_answers() {
    let standin = serving(BY_BODY).await;
    let cases = [
        (r#"{"drink": "coffee"}"#, "coffee"),
        ("{\n  \"drink\" : \"\\u0063offee\"\n}\n", "coffee"),
        (r#"{"with": ["milk", "lemon"], "sugar": 1, "drink": "tea"}"#, "tea"),
        (r#"{"with": ["milk", "lemon"], "sugar": 1.0, "drink": "tea"}"#, "tea"),
        // Others have the form of an example, not its words: the first answers.
        (r#"{"drink": "water"}"#, "tea"),
        (r#"{"drink": "coffee", "sugar": 2}"#, "tea"),
        ("not json", "tea"),
        ("", "tea"),
    ];
    for (body, expected) in cases {
        let response = standin.send(post("/orders", body)).await;
        assert_eq!((response.status, response.text()), (201, format!(r#"{{"is":"{expected}"}}"#)), "{body}");
    }
}

#[tokio::test]
async fn a_body_that_differs_fits_where_the_parameters_do() {
    let paths = "
        /orders/{shop}:
          post:
            parameters:
              - {name: shop, in: path, required: true, schema: {type: string},
                 examples: {north: {value: north}, south: {value: south}}}
            requestBody:
              content: {application/json: {examples: {north: {value: {n: 1}}, south: {value: {n: 2}}}}}
            responses:
              '201':
                description: ok
                content: {application/json: {examples: {north: {value: {is: north}}, south: {value: {is: south}}}}}
    ";
    let standin = serving(paths).await;
    standin.send(post("/orders/south", r#"{"n": 77}"#)).await.is(201, r#"{"is":"south"}"#);
    standin.send(post("/orders/south", r#"{"n": 1}"#)).await.is(201, r#"{"is":"south"}"#);
}

#[tokio::test]
async fn one_name_under_several_statuses_is_the_lowest_2xx() {
    let paths = "
        /a:
          get:
            parameters: [{name: q, in: query, examples: {both: {value: b}, bad: {value: x}}}]
            responses:
              '404': {description: no, content: {application/json: {examples: {bad: {value: 404}, both: {value: 404}}}}}
              '202': {description: ok, content: {application/json: {examples: {both: {value: 202}}}}}
              '200': {description: ok, content: {application/json: {examples: {both: {value: 200}}}}}
    ";
    let standin = serving(paths).await;
    standin.get("/a?q=b").await.is(200, "200");
    standin.get("/a?q=x").await.is(404, "404");
    standin.get("/a").await.is(200, "200");
}

#[tokio::test]
async fn refs_join_a_response_without_content() {
    let paths = "
        /items/{id}:
          delete:
            parameters:
              - {name: id, in: path, required: true, examples: {there: {value: '1'}, gone: {value: '2'}}}
            responses:
              '204': {description: deleted, x-microcks-refs: [there]}
              '410': {description: gone already, x-microcks-refs: [gone]}
    ";
    let standin = serving(paths).await;
    let response = standin.send(delete("/items/1")).await;
    response.is(204, "");
    names(&response, "there");
    assert_eq!(response.header("content-length"), None, "RFC 9110, 8.6");
    standin.send(delete("/items/2")).await.is(410, "");
    standin.send(delete("/items/3")).await.is(204, "");
}

#[tokio::test]
async fn a_single_example_answers() {
    let paths = "
        /a: {get: {responses: {'200': {description: ok, content: {application/json: {example: {a: 1}}}}}}}
        /b:
          get:
            responses:
              default: {description: other, content: {application/json: {example: {d: 1}}}}
              2XX: {description: ok, content: {application/json: {example: {b: 1}}}}
    ";
    let standin = serving(paths).await;
    let response = standin.get("/a").await;
    response.is(200, r#"{"a":1}"#);
    response.is_mock();
    standin.get("/b").await.is(200, r#"{"b":1}"#);
}

#[tokio::test]
async fn parameters_of_the_path_item_count_and_the_operations_replace_them() {
    let paths = "
        /a:
          parameters:
            - {name: q, in: query, examples: {one: {value: '1'}}}
            - {name: r, in: query, examples: {two: {value: '1'}}}
          get:
            parameters: [{name: r, in: query, examples: {two: {value: '2'}}}]
            responses:
              '200':
                description: ok
                content: {application/json: {examples: {none: {value: 0}, one: {value: 1}, two: {value: 2}}}}
    ";
    let standin = serving(paths).await;
    standin.get("/a?q=1").await.is(200, "1");
    standin.get("/a?r=2").await.is(200, "2");
    standin.get("/a?r=1").await.is(200, "0");
}

// Which media type.

const TYPES: &str = "
    /a:
      get:
        responses:
          '200':
            description: ok
            content:
              text/plain: {examples: {x: {value: plain}}}
              application/json: {examples: {x: {value: {is: json}}}}
              text/html; charset=utf-8: {examples: {x: {value: <p>html</p>}}}
    /text: {get: {responses: {'200': {description: ok, content: {text/plain: {example: only text}}}}}}
";

#[tokio::test]
async fn the_media_type_is_what_the_client_accepts() {
    let standin = serving(TYPES).await;
    let (json, plain, html) = (r#"{"is":"json"}"#, "plain", "<p>html</p>");
    let cases = [
        ("application/json", json),
        ("text/plain", plain),
        ("TEXT/Plain", plain),
        ("text/html", html),
        ("text/*;q=0.5, application/json;q=0.4", plain),
        ("text/plain;q=0.1, application/json;q=0.2", json),
        ("text/plain;q=0.3, */*;q=0.2", plain),
        ("image/png, text/html;q=0.1", html),
        ("application/*", json),
        ("*/*", json),
        ("text/plain;q=0, text/*", html),
    ];
    for (accept, expected) in cases {
        let response = standin.send(get("/a").header("accept", accept)).await;
        assert_eq!((response.status, response.text().as_str()), (200, expected), "{accept}");
    }
    let html = standin.send(get("/a").header("accept", "text/html")).await;
    assert_eq!(html.header("content-type"), Some("text/html; charset=utf-8"));
}

#[tokio::test]
async fn without_accept_json_then_document_order() {
    let standin = serving(TYPES).await;
    standin.get("/a").await.is(200, r#"{"is":"json"}"#);
    let response = standin.get("/text").await;
    response.is(200, "only text");
    assert_eq!(response.header("content-type"), Some("text/plain"));
}

#[tokio::test]
async fn what_nobody_offers_is_406() {
    let standin = serving(TYPES).await;
    for accept in ["image/png", "application/json;q=0, text/*;q=0", "*/*;q=0"] {
        standin.send(get("/a").header("accept", accept)).await.is_problem(406, "not-acceptable");
    }
    standin.send(get("/text").header("accept", "application/json")).await.is_problem(406, "not-acceptable");
}

// The body.

#[tokio::test]
async fn json_is_compact_and_in_document_order() {
    let paths = "
        /yaml:
          get:
            responses:
              '200':
                description: ok
                content:
                  application/json:
                    example:
                      zebra: 1
                      apple: [1, 2.5, -3, true, null, {}]
                      mango: {nested: \"q\\\"uote\", empty: []}
                      '200': text
                      date: 2026-01-31
                      no: no
        /top: {get: {responses: {'200': {description: ok, content: {application/json: {example: [1, 2]}}}}}}
    ";
    let standin = serving(paths).await;
    let expected = r#"{"zebra":1,"apple":[1,2.5,-3,true,null,{}],"mango":{"nested":"q\"uote","empty":[]},"200":"text","date":"2026-01-31","no":"no"}"#;
    let response = standin.get("/yaml").await;
    response.is(200, expected);
    assert_eq!(response.header("content-length"), Some(expected.len().to_string().as_str()));
    standin.get("/top").await.is(200, "[1,2]");
}

#[tokio::test]
async fn a_string_under_json_is_json_or_becomes_it() {
    let paths = r#"
        /json: {get: {responses: {'200': {description: ok, content: {application/json: {example: '{ "a" : 1 }'}}}}}}
        /words: {get: {responses: {'200': {description: ok, content: {application/json: {example: just "words"}}}}}}
        /text: {get: {responses: {'200': {description: ok, content: {text/plain: {example: '{ "a" : 1 }'}}}}}}
    "#;
    let standin = serving(paths).await;
    standin.get("/json").await.is(200, r#"{ "a" : 1 }"#);
    standin.get("/words").await.is(200, r#""just \"words\"""#);
    standin.get("/text").await.is(200, r#"{ "a" : 1 }"#);
}

#[tokio::test]
async fn headers_come_from_their_examples() {
    let paths = "
        /a:
          get:
            parameters: [{name: q, in: query, examples: {one: {value: '1'}, two: {value: '2'}}}]
            responses:
              '200':
                description: ok
                headers:
                  X-Rate: {schema: {type: integer}, example: 10}
                  X-Schema: {schema: {type: string, example: from schema}}
                  X-Named: {schema: {type: string}, examples: {one: {value: first}, two: {value: second}}}
                content: {application/json: {examples: {one: {value: 1}, two: {value: 2}}}}
    ";
    let standin = serving(paths).await;
    let response = standin.get("/a?q=2").await;
    response.is(200, "2");
    assert_eq!(response.header("x-rate"), Some("10"));
    assert_eq!(response.header("x-schema"), Some("from schema"));
    assert_eq!(response.header("x-named"), Some("second"));
    assert_eq!(standin.get("/a?q=1").await.header("x-named"), Some("first"));
}

#[tokio::test]
async fn reveal_headers_say_who_answered() {
    let paths = [BY_VALUES.trim_end(), "\n", "    ", operation("get", "/b/{c}", "b").trim_end()].concat();
    let standin = serving(&paths).await;
    let response = standin.get("/items/2").await;
    assert_eq!(response.header("x-standin-source"), Some("mock"));
    assert_eq!(response.header("x-standin-operation"), Some("getItem"));
    assert_eq!(response.header("x-standin-example"), Some("two"));
    assert_eq!(standin.get("/b/1").await.header("x-standin-operation"), Some("GET /b/{c}"));

    let standin = Standin::with().paths(BY_VALUES).config("reveal: false\n").start().await;
    let response = standin.get("/items/2").await;
    response.is(200, r#"{"is":"two"}"#);
    let ours = response.headers.iter().find(|(name, _)| name.starts_with("x-standin-"));
    assert_eq!(ours, None);
}

// Limits.

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let config = "limits: {mocked_body: 1KiB}\n";
    let standin = Standin::with().paths(BY_BODY).config(config).start().await;
    let within = format!("{:1024}", r#"{"drink":"coffee"}"#);
    let over = format!("{:1025}", r#"{"drink":"coffee"}"#);
    standin.send(post("/orders", &within)).await.is(201, r#"{"is":"coffee"}"#);
    standin.send(post("/orders", &within).chunked()).await.is(201, r#"{"is":"coffee"}"#);
    standin.send(post("/orders", &over)).await.is_problem(413, "body-too-large");
    standin.send(post("/orders", &over).chunked()).await.is_problem(413, "body-too-large");
    let large = "x".repeat(5_000_000);
    standin.send(post("/orders", &large)).await.is_problem(413, "body-too-large");
}

#[tokio::test]
async fn a_body_that_nothing_needs_has_no_limit() {
    let paths = operation("post", "/static", "static");
    let standin = Standin::with().paths(&paths).config("limits: {mocked_body: 1KiB}\n").start().await;
    let mut wire = standin.wire().await;
    for _ in 0..3 {
        wire.send(&post("/static", &"x".repeat(5000))).await.is(200, r#"{"says":"static"}"#);
    }
}

// Templates.

/// `POST /t/{id}?...` answers each template as text.
async fn renders(template: &str, request: Request) -> String {
    let template = template.replace('\'', "''");
    let paths = format!(
        "'/t/{{id}}': {{post: {{responses: {{'200': {{description: ok, \
         content: {{text/plain: {{example: '{template}'}}}}}}}}}}}}\n"
    );
    let standin = serving(&paths).await;
    let response = standin.send(request).await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.text()
}

#[tokio::test]
async fn templates_read_the_request() {
    let body = r#"{"user": {"name": "Ada", "age": 36, "tags": ["x", "y"], "a/b": 1, "m~n": 2}, "on": true, "nil": null}"#;
    let cases = [
        ("{{ request.body/user/name }}", "Ada"),
        ("{{request.body/user/name}}", "Ada"),
        ("{{   request.body/user/name   }}", "Ada"),
        ("{{ request.body/user/age }}", "36"),
        ("{{ request.body/user/tags/1 }}", "y"),
        ("{{ request.body/user/a~1b }}", "1"),
        ("{{ request.body/user/m~0n }}", "2"),
        ("{{ request.body/on }}", "true"),
        ("{{ request.body }}", body),
        ("{{ request.path[0] }}/{{ request.path[1] }}", "t/4 2"),
        ("{{ request.params[q] }}", "a b"),
        ("{{ request.headers[x-who] }}", "me"),
        ("{{ request.headers[X-WHO] }}", "me"),
        ("<{{ request.body/nobody }}>", "<>"),
        ("<{{ request.params[nobody] }}>", "<>"),
        ("{{ request.body/nobody || request.params[q] }}", "a b"),
        ("{{ request.body/nobody || 'none' }}", "none"),
        ("{{ request.body/nobody || request.headers[nobody] || 'neither' }}", "neither"),
        ("{{ request.body/user/name || 'none' }}", "Ada"),
        ("no template { } }} here", "no template { } }} here"),
        ("{\"a\": {\"b\": 1}}", "{\"a\": {\"b\": 1}}"),
    ];
    let paths: String = cases
        .iter()
        .enumerate()
        .map(|(number, (template, _))| {
            let template = template.replace('\'', "''");
            format!(
                "'/t/{{id}}/{number}': {{post: {{responses: {{'200': {{description: ok, \
                 content: {{text/plain: {{example: '{template}'}}}}}}}}}}}}\n"
            )
        })
        .collect();
    let standin = serving(&paths).await;
    for (number, (template, expected)) in cases.iter().enumerate() {
        let asked = post(&format!("/t/4%202/{number}?q=a%20b"), body).header("X-Who", "me");
        let response = standin.send(asked).await;
        assert_eq!((response.status, response.text().as_str()), (200, *expected), "{template}");
    }
}

#[tokio::test]
async fn functions_give_what_their_names_say() {
    let random = renders(
        "{{ uuid() }} {{ guid() }} {{ randomUUID() }} {{ randomInt() }} {{ randomInt(5) }} {{ randomInt(7, 9) }} \
         {{ randomString() }} {{ randomString(8) }} {{ randomValue(a, b) }} {{ now() }} {{ now(yyyy-MM-dd) }} {{ timestamp() }}",
        post("/t/1", "{}"),
    )
    .await;
    let words: Vec<_> = random.split(' ').collect();
    assert_eq!(words.len(), 12, "{random}");
    let is_uuid = |word: &str| {
        let lengths: Vec<_> = word.split('-').map(str::len).collect();
        lengths == [8, 4, 4, 4, 12] && word.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
    };
    assert!(words[..3].iter().all(|word| is_uuid(word)), "{random}");
    assert!(words[0] != words[1] && words[1] != words[2], "{random}");
    assert!(words[3].parse::<i64>().is_ok(), "{random}");
    assert!(words[4].parse::<u32>().is_ok_and(|n| n <= 5), "{random}");
    assert!(words[5].parse::<u32>().is_ok_and(|n| (7..=9).contains(&n)), "{random}");
    assert!(words[6].chars().all(char::is_alphanumeric) && !words[6].is_empty(), "{random}");
    assert!(words[7].chars().all(char::is_alphanumeric) && words[7].len() == 8, "{random}");
    assert!(["a", "b"].contains(&words[8]), "{random}");
    let millis = |word: &str| word.parse::<u128>().expect("milliseconds");
    let since = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_millis();
    assert!(since - millis(words[9]) < 60_000 && since - millis(words[11]) < 60_000, "{random}");
    let date: Vec<_> = words[10].split('-').map(str::len).collect();
    assert_eq!(date, [4, 2, 2], "{random}");
}

#[tokio::test]
async fn each_answer_is_rendered_anew() {
    let paths = "
        /a: {get: {responses: {'200': {description: ok, content: {text/plain: {example: '{{ uuid() }}'}}}}}}
    ";
    let standin = serving(paths).await;
    let (one, two) = (standin.get("/a").await.text(), standin.get("/a").await.text());
    assert_ne!(one, two);
}

const ECHO: &str = r#"
    /echo:
      post:
        responses:
          '200':
            description: ok
            content:
              application/json:
                example: {name: 'Dear {{ request.body/name }}!', admin: false}
    /lone:
      post:
        responses:
          '200':
            description: ok
            content:
              application/json:
                example: '{"whole": {{ request.body/name }}, "inside": "{{ request.body/name }}", "none": {{ request.body/x }}}'
"#;

/// Nothing that a client sends can end a JSON string or begin a new member.
#[tokio::test]
async fn values_inside_json_strings_are_escaped() {
    let standin = serving(ECHO).await;
    let names =
        ["a\"b\\c", "x\", \"admin\": true, \"y\": \"", "line\nbreak\ttab\u{1}", "{{ uuid() }}", "\u{1F600}é"];
    for name in names {
        let body = serde_json::json!({"name": name}).to_string();
        let answer = standin.send(post("/echo", &body)).await.json();
        assert_eq!(answer, serde_json::json!({"name": format!("Dear {name}!"), "admin": false}));
    }
}

#[tokio::test]
async fn a_lone_reference_outside_quotes_inserts_json() {
    let standin = serving(ECHO).await;
    let values = [r#"{"a":[1,"x"]}"#, "[1,2]", "42", "true", "null", r#""te\"xt""#];
    for value in values {
        let answer = standin.send(post("/lone", &format!(r#"{{"name":{value}}}"#))).await.json();
        let expected: serde_json::Value = serde_json::from_str(value).expect("JSON");
        assert_eq!(answer["whole"], expected, "{value}");
        assert!(answer["inside"].is_string(), "{value}: {answer}");
        assert!(answer["none"].is_null(), "{value}: {answer}");
    }
}

#[tokio::test]
async fn headers_are_templates_that_control_characters_never_pass() {
    let paths = "
        /a/{id}:
          get:
            responses:
              '200':
                description: ok
                headers:
                  Location: {schema: {type: string}, example: '/a/{{ request.path[1] }}'}
                  X-Echo: {schema: {type: string}, example: '<{{ request.params[q] }}>'}
                content: {text/plain: {example: ok}}
    ";
    let standin = serving(paths).await;
    let response = standin.get("/a/7?q=fine").await;
    assert_eq!(response.header("location"), Some("/a/7"));
    assert_eq!(response.header("x-echo"), Some("<fine>"));
    let mut wire = standin.wire().await;
    let injected = wire.send(&get("/a/7?q=x%0d%0aset-cookie:%20a=b%0d%0a%0d%0abody%00")).await;
    injected.is(200, "ok");
    assert_eq!(injected.header("set-cookie"), None);
    wire.send(&get("/a/7")).await.is(200, "ok");
}

/// A template that does not parse is served as it stands; `check` says where.
#[tokio::test]
async fn a_broken_template_is_served_as_it_stands() {
    let paths = "
        /a: {get: {responses: {'200': {description: ok, content: {text/plain: {example: 'a {{ request. b'}}}}}}
    ";
    let standin = serving(paths).await;
    standin.get("/a").await.is(200, "a {{ request. b");
}

// What the request asks for.

#[tokio::test]
async fn a_status_and_an_example_can_be_asked_for() {
    let standin = serving(
        "
    /items:
      get:
        responses:
          '200': {description: ok, content: {application/json: {examples: {one: {value: 1}, two: {value: 2}}}}}
          '204': {description: nothing}
          default: {description: failed, content: {application/json: {examples: {one: {value: failed}}}}}
",
    )
    .await;
    let ask = async |prefer: &str| standin.send(get("/items").header("prefer", prefer)).await;
    let response = ask("example=two").await;
    response.is(200, "2");
    assert_eq!(response.header("preference-applied"), Some("example=two"));
    let response = ask("code=503, example=one").await;
    response.is(503, "\"failed\"");
    assert_eq!(response.header("preference-applied"), Some("code=503, example=one"));
    ask("code=204").await.is(204, "");
    // The connection goes on: a body that 304 may not have is not sent.
    let mut wire = standin.wire().await;
    wire.send(&get("/items").header("prefer", "code=304")).await.is(304, "");
    wire.send(&get("/items?__example=two")).await.is(200, "2");
    ask("example=three").await.is_problem(404, "no-such-example");
}
