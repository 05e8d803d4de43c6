#!/usr/bin/env bash
# Whether Schemathesis (PyPI) finds an answer of Standin that is not as its document says, static and dynamic:
# no 5xx, statuses, content types, headers and bodies as described.
#
#   tests/outside/schemathesis.sh DOCUMENT...
#
# BINARY (target/debug/standin), SCHEMATHESIS (schemathesis), EXAMPLES (100 an operation), LIMIT (600 seconds a
# run) and ENFORCE (unset; 1: also that requests that are wrong are refused) may be set. Prints the failures of
# each run, shortened, and a line with the sum; exits with 1 if there was one.
set -euo pipefail

binary=$(realpath "${BINARY:-target/debug/standin}")
schemathesis=$(realpath "$(command -v "${SCHEMATHESIS:-schemathesis}")")
examples=${EXAMPLES:-100} limit=${LIMIT:-600}
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance
checks+=,response_schema_conformance
level=report
if [ -n "${ENFORCE:-}" ]; then
    level=enforce
    checks+=,negative_data_rejection,missing_required_header,unsupported_method
fi

[ $# -gt 0 ] || { echo "usage: schemathesis.sh DOCUMENT..." >&2; exit 2; }

folder=$(mktemp -d)
server=
stop() {
    trap - EXIT INT TERM
    [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server" 2>/dev/null; } || true
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT TERM

# DOCUMENT on|off: one run; its exit code is Schemathesis' own, 124 where the time is over.
run() {
    local url= code=0 document
    document=$(realpath "$1")
    : > "$folder/out"
    # One base path, so that the client needs no guess.
    printf 'specs: [{source: "%s", base_path: /}]\n' "$document" > "$folder/standin.yaml"
    "$binary" run -c "$folder/standin.yaml" --listen 127.0.0.1:0 --admin off --validate "$level" --dynamic="$2" \
        --log-level error > "$folder/out" 2> "$folder/err" &
    server=$!
    for _ in $(seq 600); do
        url=$(sed -n 's/.*listening on \(http:[^ ,]*\).*/\1/p' "$folder/out")
        [ -n "$url" ] && break
        kill -0 "$server" 2>/dev/null || { cat "$folder/err"; return 2; }
        sleep 0.1
    done
    # It leaves a cache where it runs.
    (cd "$folder" && timeout "$limit" "$schemathesis" run "$document" --url "$url" --checks "$checks" --max-examples "$examples" \
        --phases examples,coverage,fuzzing --mode "$([ -n "${ENFORCE:-}" ] && echo all || echo positive)" \
        --continue-on-failure --request-timeout 10) > "$folder/report" 2>&1 || code=$?
    kill "$server"; wait "$server" 2>/dev/null || true
    server=
    return "$code"
}

failed=0
for document in "$@"; do
    for dynamic in off on; do
        code=0
        run "$document" "$dynamic" || code=$?
        [ "$code" -eq 0 ] || { failed=1; grep -E '^(- |____|    |  )|Error|✗|❌' "$folder/report" | head -60 || true; }
        grep -E ' generated' "$folder/report" || true
        echo "$document, dynamic $dynamic: $([ "$code" -eq 0 ] && echo "no failure" || echo "exit $code")"
    done
done
exit "$failed"
