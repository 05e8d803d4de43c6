//! Rules that hold for any text, asked of texts that are drawn, and of those that once broke one.
//!
//! What is drawn is nearly right, since what is nonsense from its first byte goes no further than the
//! parser. It is drawn anew in every run; what breaks a rule is printed, and becomes a file in
//! `fuzz/corpus`, which is asked in every run. `docs/corpus.md` says how the fuzz targets are run.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::select;

#[path = "properties/mod.rs"]
mod properties;

#[path = "properties/instances.rs"]
mod instances;

use properties::{PROPERTIES, body, path, references, template, tree};

/// About a second each, unoptimised.
fn cases(number: u32) -> ProptestConfig {
    ProptestConfig { cases: number, failure_persistence: None, ..ProptestConfig::default() }
}

#[test]
fn what_once_broke_a_rule_breaks_none() {
    for (name, holds) in PROPERTIES {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let entries = std::fs::read_dir(&folder).expect("the folder is there");
        let mut count = 0;
        for entry in entries {
            let path = entry.expect("it can be read").path();
            let bytes = std::fs::read(&path).expect("it can be read");
            eprintln!("{}", path.display());
            holds(&String::from_utf8_lossy(&bytes));
            count += 1;
        }
        assert!(count > 0, "{name} has no texts");
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn any_text_is_a_tree_or_refused(text in any::<String>()) {
        tree::holds(&text);
    }

    #[test]
    fn json_is_read_as_others_read_it(json in json(4)) {
        tree::holds(&json.to_string());
        tree::holds(&serde_json::to_string_pretty(&json).expect("it is JSON"));
    }

    #[test]
    fn yaml_is_a_tree_or_refused(parts in prop::collection::vec(yaml(), 0..40)) {
        tree::holds(&parts.concat());
    }

    #[test]
    fn json_with_a_byte_changed_is_a_tree_or_refused(
        json in json(3), at in any::<prop::sample::Index>(), by in select("{}[]\",:\\u\n\t 0-.e&*#!|>\u{feff}\0é".chars().collect::<Vec<_>>()),
    ) {
        let mut text: Vec<char> = json.to_string().chars().collect();
        let at = at.index(text.len());
        text[at] = by;
        tree::holds(&text.into_iter().collect::<String>());
    }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn references_end(documents in prop::collection::vec(document(), 1..=3)) {
        references::holds(&documents.join(references::NEXT));
    }
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn a_path_has_one_spelling(path in spelling()) {
        path::spelled(&path);
    }

    #[test]
    fn templates_find_their_own_paths(templates in prop::collection::vec(path_template(), 1..8)) {
        path::holds(&templates.join("\n"));
    }

    #[test]
    fn templates_parse_and_render(parts in prop::collection::vec(template_part(), 0..12), said in any::<String>()) {
        template::holds(&format!("{}{}{said}", parts.concat(), template::THEN));
    }

    #[test]
    fn bare_expressions_stay_json(parts in prop::collection::vec(expression(), 1..6), said in any::<String>()) {
        template::bare(&parts.concat(), &said);
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_text_is_a_body(text in any::<String>()) {
        body::holds(&text);
    }

    #[test]
    fn any_value_is_written_as_xml(json in json(4)) {
        body::holds(&json.to_string());
    }

    #[test]
    fn parts_are_read_or_refused(parts in prop::collection::vec(part_of_body(), 0..12)) {
        body::holds(&parts.concat());
    }

    #[test]
    fn an_instance_comes_back_from_xml((schema, instance) in instance()) {
        body::comes_back(&instance, &schema);
    }
}

fn part_of_body() -> impl Strategy<Value = String> {
    let pieces = [
        "--B\r\n",
        "--B--\r\n",
        "--B",
        "\r\n",
        "\n",
        "content-disposition: form-data; name=\"a\"\r\n",
        "x: y",
        "; filename=",
        "<a>",
        "</a>",
        "<b/>",
        "<p:a xmlns:p='u'>",
        "</p:a>",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "&amp;",
        "&#0;",
        "\"",
        " ",
    ];
    prop_oneof![select(pieces.to_vec()).prop_map(str::to_owned), any::<String>()]
}

/// A schema, and an instance of it that XML can tell from others.
fn instance() -> impl Strategy<Value = (serde_json::Value, serde_json::Value)> {
    use serde_json::json;
    let text = || {
        any::<String>().prop_map(|text| text.chars().filter(|char| body::is_xml(*char)).collect::<String>())
    };
    let xml = |flag: &'static str| {
        let prefix = select(vec![None, Some(("p", "urn:p")), Some(("p", "urn:q")), Some(("q", "urn:q"))]);
        (any::<bool>(), prefix).prop_map(move |(set, prefix)| {
            let mut xml = json!({ flag: set });
            if let Some((prefix, namespace)) = prefix {
                xml["prefix"] = prefix.into();
                xml["namespace"] = namespace.into();
            }
            xml
        })
    };
    let scalar = prop_oneof![
        any::<i64>().prop_map(|value| ("integer", json!(value))),
        any::<f64>().prop_map(|value| ("number", json!(value))),
        any::<bool>().prop_map(|value| ("boolean", json!(value))),
        text().prop_map(|value| ("string", json!(value))),
    ];
    let scalar = (scalar, xml("attribute"))
        .prop_map(|((kind, value), xml)| (json!({ "type": kind, "xml": xml }), value));
    let null = Just((json!({ "type": "null" }), json!(null)));
    let list = (prop::collection::vec(text(), 1..4), xml("wrapped")).prop_map(|(items, xml)| {
        (json!({ "type": "array", "items": { "type": "string" }, "xml": xml }), json!(items))
    });
    prop_oneof![scalar, null, list].prop_recursive(4, 30, 5, |inner| {
        let object = prop::collection::btree_map("[a-z]{1,3}", inner.clone(), 0..5).prop_map(|fields| {
            let mut schema = json!({ "type": "object", "properties": {} });
            let mut instance = json!({});
            for (name, (property, value)) in fields {
                schema["properties"][&name] = property;
                instance[&name] = value;
            }
            (schema, instance)
        });
        let tuple = prop::collection::vec(inner, 0..4).prop_map(|items| {
            let (mut schemas, values): (Vec<_>, Vec<_>) = items.into_iter().unzip();
            // An item is an element, and so is an array in an array.
            for schema in &mut schemas {
                schema["xml"] = json!({});
            }
            (json!({ "type": "array", "prefixItems": schemas, "xml": { "wrapped": true } }), json!(values))
        });
        prop_oneof![object, tuple]
    })
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn instances_are_valid_or_impossible(schema in schema(3)) {
        instances::hold(&schema);
    }
}

/// Schemas of a few keywords that get into each other's way.
fn schema(depth: u32) -> impl Strategy<Value = serde_json::Value> {
    use serde_json::json;
    let kind = select(vec!["string", "integer", "number", "boolean", "object", "array", "null"]);
    let count = || 0..5_u32;
    let scalar = prop_oneof![
        Just(json!({})),
        any::<bool>().prop_map(serde_json::Value::from),
        kind.clone().prop_map(|kind| json!({ "type": kind })),
        (kind, json(1)).prop_map(|(kind, shown)| json!({ "type": kind, "example": shown })),
        prop::collection::vec(json(1), 1..4).prop_map(|all| json!({ "enum": all })),
        (count(), count()).prop_map(|(least, most)| json!({ "type": "string", "minLength": least, "maxLength": most })),
        select(vec!["^a+$", "^[a-c]{2,4}$", "\\d", "^(?!a)\\w+$", "b|c$", "^$"]).prop_map(|pattern| json!({ "type": "string", "pattern": pattern })),
        select(vec!["date", "uuid", "email", "uri", "ipv4", "time"]).prop_map(|format| json!({ "type": "string", "format": format })),
        (-5..5_i32, -5..5_i32, 1..4_i32).prop_map(|(low, high, step)| json!({ "type": "integer", "minimum": low, "maximum": high, "multipleOf": step })),
        (-5.0..5.0_f64, 0.0..1.0_f64).prop_map(|(low, width)| json!({ "type": "number", "exclusiveMinimum": low, "maximum": low + width })),
        Just(json!({ "$ref": "#/components/schemas/S" })),
    ];
    let name = || select(vec!["a", "b", "c", "name", "createdAt"]);
    scalar.prop_recursive(depth, 30, 4, move |inner| {
        let several = prop::collection::vec(inner.clone(), 1..4);
        let named = prop::collection::hash_map(name().prop_map(str::to_owned), inner.clone(), 0..4);
        let names = prop::collection::hash_set(name(), 0..3);
        prop_oneof![
            3 => (named, names, inner.clone(), any::<[bool; 3]>()).prop_map(|(named, names, other, [closed, further, kind])| {
                let mut schema = json!({ "properties": named, "required": names });
                if kind {
                    schema["type"] = json!("object");
                }
                if closed {
                    schema["additionalProperties"] = json!(false);
                } else if further {
                    schema["additionalProperties"] = other;
                }
                schema
            }),
            2 => (inner.clone(), 0..4_u32, 0..4_u32, any::<bool>()).prop_map(|(items, least, most, unique)| {
                json!({ "type": "array", "items": items, "minItems": least, "maxItems": most, "uniqueItems": unique })
            }),
            1 => (several.clone(), inner.clone()).prop_map(|(first, other)| json!({ "type": "array", "prefixItems": first, "contains": other })),
            2 => (several.clone(), select(vec!["allOf", "anyOf", "oneOf"])).prop_map(|(several, keyword)| json!({ keyword: several })),
            1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(one, two, three)| json!({ "if": one, "then": two, "else": three })),
            1 => (inner.clone(), inner).prop_map(|(one, two)| json!({ "allOf": [one, { "not": two }] })),
        ]
    })
}

fn json(depth: u32) -> impl Strategy<Value = serde_json::Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(serde_json::Value::from),
        any::<u64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        number,
        any::<String>().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(depth, 60, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(serde_json::Value::from),
            prop::collection::vec((any::<String>(), inner), 0..8)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Pieces that YAML texts are made from.
fn yaml() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "a",
        "b",
        "key",
        ": ",
        ":",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "? ",
        "&a ",
        "&b ",
        "*a",
        "*b",
        "<<: ",
        "<<: *a\n",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "\"",
        "'",
        "|\n",
        ">-\n",
        "|2+\n",
        "!!str ",
        "!x ",
        "# c\n",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "\t",
        "\r\n",
        "\r",
        "0x1F",
        "0o17",
        "1e3",
        ".inf",
        ".nan",
        "~",
        "null",
        "true",
        "2001-01-01",
        "1_000",
        "-0",
        "+1",
        "\u{feff}",
        "\u{85}",
        "\u{2028}",
        "\0",
        "\\ud83d\\ude00",
        "😀",
        "é",
        "a: &a {x: *a}\n",
        "k: [1, 2]\n",
        "k: {l: m}\n",
        "\\x41",
        "''",
        "\"\\\n\"",
    ]);
    prop_oneof![9 => piece.prop_map(str::to_owned), 1 => "\\PC{0,6}"]
}

/// Kinds of components, as documents name them.
const KINDS: [&str; 8] =
    ["parameters", "responses", "examples", "headers", "requestBodies", "callbacks", "pathItems", "schemas"];

/// A document whose every part may be a reference to any part of any file.
fn document() -> impl Strategy<Value = String> {
    let names = ["A", "B~/% é"];
    let parts: Vec<_> =
        KINDS.into_iter().map(|kind| prop::collection::vec(part(kind), names.len())).collect();
    let paths = prop::collection::vec(part("pathItems"), 2);
    (parts, paths, select(vec!["3.0.3", "3.1.0", "3.2.0"])).prop_map(move |(parts, paths, version)| {
        let mut components = serde_json::Map::new();
        for (kind, parts) in KINDS.into_iter().zip(parts) {
            let own: serde_json::Map<_, _> = names.iter().map(|name| (*name).to_owned()).zip(parts).collect();
            components.insert(kind.to_owned(), own.into());
        }
        let paths: serde_json::Map<_, _> =
            ["/a", "/b/{x}"].map(str::to_owned).into_iter().zip(paths).collect();
        serde_json::json!({ "openapi": version, "paths": paths, "components": components }).to_string()
    })
}

/// A component: a reference, or the thing itself with references below.
fn part(kind: &'static str) -> BoxedStrategy<serde_json::Value> {
    let inline = match kind {
        "parameters" => (reference("examples"), reference("schemas"))
            .prop_map(|(example, schema)| serde_json::json!({ "name": "x", "in": "query", "schema": schema, "examples": { "e": example } }))
            .boxed(),
        "responses" => (reference("examples"), reference("headers"), reference("schemas"))
            .prop_map(|(example, header, schema)| serde_json::json!({
                "description": "", "headers": { "x-a": header },
                "content": { "application/json": { "schema": schema, "examples": { "e": example } } },
            }))
            .boxed(),
        "examples" => prop_oneof![
            Just(serde_json::json!({ "value": { "a": 1 } })),
            Just(serde_json::json!({ "externalValue": "b.yaml" })),
            Just(serde_json::json!({})),
        ]
        .boxed(),
        "headers" => reference("schemas").prop_map(|schema| serde_json::json!({ "schema": schema })).boxed(),
        "requestBodies" => (reference("examples"), reference("schemas"))
            .prop_map(|(example, schema)| serde_json::json!({ "content": { "application/json": { "schema": schema, "examples": { "e": example } } } }))
            .boxed(),
        "callbacks" => reference("pathItems").prop_map(|item| serde_json::json!({ "{$request.body#/u}": item })).boxed(),
        "pathItems" => (reference("parameters"), reference("requestBodies"), reference("responses"), reference("callbacks"))
            .prop_map(|(parameter, body, response, callback)| serde_json::json!({
                "parameters": [parameter],
                "post": { "requestBody": body, "responses": { "200": response }, "callbacks": { "c": callback } },
            }))
            .boxed(),
        _ => (reference("schemas"), reference("schemas"))
            .prop_map(|(one, other)| serde_json::json!({ "allOf": [one], "properties": { "a": other }, "example": 1 }))
            .boxed(),
    };
    prop_oneof![1 => reference(kind), 3 => inline].boxed()
}

fn reference(kind: &'static str) -> BoxedStrategy<serde_json::Value> {
    let file =
        select(vec!["", "", "", "b.yaml", "./b.yaml", "c/d.yaml", "../a.yaml", "none.yaml", "https://h/x"]);
    let name = select(vec!["A", "A", "B~0~1%25%20%C3%A9", "B~0~1% é", "C", "A/properties/a", "~2", "%ZZ"]);
    let odd = select(vec!["", "#", "#/", "#/paths/~1a", "#/paths/~1a/post", "a", "#A", "?x", "#/components"]);
    let usual = (file, name).prop_map(move |(file, name)| format!("{file}#/components/{kind}/{name}"));
    prop_oneof![8 => usual, 1 => odd.prop_map(str::to_owned)]
        .prop_map(|reference| serde_json::json!({ "$ref": reference }))
        .boxed()
}

fn spelling() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "/", "a", "B", "%41", "%2f", "%2F", "%5C", "\\", "%2e", ".", "..", ";x=1", "%3b", "%", "%4", "%zz",
        "//", "%25", "%2541", "é", "%C3%A9", "%c3", " ", "+", ":", "@", "{", "}", "~", "%7e", "!", "%21",
        "'", "*", "=",
    ]);
    let piece = prop_oneof![9 => piece.prop_map(str::to_owned), 1 => "\\PC{0,3}"];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| format!("/{}", pieces.concat()))
}

fn path_template() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "/", "/", "/", "a", "b", "v1", "{x}", "{y}", "/{x}", "/{x}/", "-", "...", ":", ".json", "{a}{b}",
        "{x:}", "{+x}", "{x*}", "{", "}", "{}", "é", " ", "%2F", "%41",
    ]);
    prop::collection::vec(piece, 0..9).prop_map(|pieces| format!("/{}", pieces.concat()))
}

fn expression() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "request.body",
        "request.body/b/0",
        "request.body/a",
        "request.path",
        "request.path[1]",
        "request.params[a]",
        "request.headers[x-a]",
        "response.body",
        "response.status",
        "now()",
        "now(yyyy-MM-dd, 1d)",
        "uuid()",
        "randomInt(1,5)",
        "randomString(3)",
        "randomValue(a,b)",
        "$uuid",
        " || ",
        " > put(n) ",
        "n",
        "'lit'",
        "\"q\"",
        " ",
        "(",
        ")",
        "[",
        "]",
        "/",
        "\\",
        "\n",
        ",",
        "é",
        "guid()",
        "randomBoolean()",
        "0",
        "999999999999999999999",
    ]);
    piece.prop_map(str::to_owned)
}

fn template_part() -> impl Strategy<Value = String> {
    let braces =
        select(vec!["{{", "}}", "{{{", "}}}", "{", "}", "\"", "\\", "\\\"", "\\u007b", "text", "😀"]);
    prop_oneof![
        3 => expression(),
        3 => braces.prop_map(str::to_owned),
        3 => expression().prop_map(|expression| format!("{{{{ {expression} }}}}")),
        1 => "\\PC{0,4}",
    ]
}
