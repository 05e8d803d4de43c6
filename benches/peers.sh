#!/usr/bin/env bash
# Measures Standin's CPU time per request beside nginx's, in one run.
#
#   benches/peers.sh [BINARY]        default: target/release/standin
#
# The server is pinned to core 0; wrk, and the upstream where there is one, to core 1. What counts is
# the CPU time of the whole server process (utime + stime of it and its children, from /proc), divided
# by the requests that wrk had answered: this does not depend on whether wrk keeps the server busy.
# The rounds alternate between the servers, so that a noisy minute hits all of them; the medians count.
# A quiet machine with at least two cores is needed, and a release build.
#
# ROUNDS (3), DURATION (5 seconds each), CONNECTIONS (32) and OPERATIONS (10000) may be set.
set -euo pipefail

binary=${1:-target/release/standin}
rounds=${ROUNDS:-3} duration=${DURATION:-5} connections=${CONNECTIONS:-32} operations=${OPERATIONS:-10000}

fail() { echo "peers.sh: $*" >&2; exit 1; }

for tool in nginx wrk taskset curl awk; do
    command -v "$tool" >/dev/null || fail "\`$tool\` is missing; install it (Debian: apt-get install nginx wrk util-linux curl gawk)"
done
[ -x "$binary" ] || fail "\`$binary\` is no program; build it with: cargo build --release"
[ "$(nproc --all)" -ge 2 ] || fail "two cores are needed, one for the server and one for the load"
binary=$(realpath "$binary")

folder=$(mktemp -d)
started=()
stop() {
    trap - EXIT INT TERM
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT TERM
cd "$folder"

free_port() {
    local port
    for _ in $(seq 100); do
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
    fail "no free port was found"
}

# The body of every answer: JSON of 200 bytes.
body='{"id":1,"name":"Ann Lee","note":"'$(printf '%0165d' 0)'"}'
[ "${#body}" -eq 200 ] || fail "the body has ${#body} bytes"

# NAME CORE CONFIG: an nginx with the http section CONFIG; sets `pid`.
nginx_with() {
    mkdir -p "$1"
    cat > "$1/nginx.conf" <<CONF
worker_processes 1;
daemon off;
pid $folder/$1/nginx.pid;
events { worker_connections 1024; }
http {
    access_log off;
    default_type application/json;
    keepalive_requests 100000000;
    client_body_temp_path $folder/$1/a; proxy_temp_path $folder/$1/b; fastcgi_temp_path $folder/$1/c;
    uwsgi_temp_path $folder/$1/d; scgi_temp_path $folder/$1/e;
    $3
}
CONF
    taskset -c "$2" nginx -p "$folder/$1" -e "$folder/$1/error.log" -c "$folder/$1/nginx.conf" &
    pid=$!
    started+=("$pid")
}

# NAME OPERATIONS: a Standin that mocks /static as the last of so many operations; sets `pid` and `url`.
standin_with() {
    {
        printf 'openapi: 3.1.0\ninfo: {title: Bench, version: "1"}\npaths:\n'
        awk -v count=$(($2 - 1)) 'BEGIN { for (i = 0; i < count; i++)
            printf "  /things%d/{id}:\n    get: {responses: {200: {description: d, content: {application/json: {example: {n: %d}}}}}}\n", i, i }'
        printf "  /static:\n    get: {responses: {200: {description: d, content: {application/json: {example: '%s'}}}}}\n" "$body"
    } > "$1.yaml"
    touch "$1.out"
    taskset -c 0 "$binary" run --spec "$1.yaml" --upstream "http://127.0.0.1:$upstream" \
        --listen 127.0.0.1:0 --admin 127.0.0.1:0 > "$1.out" 2> "$1.err" &
    pid=$!
    started+=("$pid")
    for _ in $(seq 600); do
        url=$(sed -n 's/.*listening on \(http:[^ ,]*\).*/\1/p' "$1.out")
        [ -n "$url" ] && return
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    fail "standin did not start: $(cat "$1.err")"
}

# URL: waits until it answers with the body.
await() {
    local found=
    for _ in $(seq 100); do
        found=$(curl -s --max-time 2 "$1" || true)
        [ "$found" = "$body" ] && return
        sleep 0.1
    done
    fail "$1 answers \`$found\`"
}

# PID: its CPU time and that of its children, in ticks.
ticks() {
    local of
    for of in "$1" $(cat "/proc/$1/task"/*/children 2>/dev/null); do
        sed 's/.*) //' "/proc/$of/stat"
    done | awk '{ sum += $12 + $13 } END { print sum }'
}

# NAME PID URL: one measurement; adds a line to `results`: name, microseconds of CPU, requests a second.
measure() {
    local before after
    before=$(ticks "$2")
    taskset -c 1 timeout $((duration + 10)) wrk -t1 -c"$connections" -d"${duration}s" "$3" > wrk.out
    after=$(ticks "$2")
    if grep -qE 'Non-2xx|Socket errors' wrk.out; then fail "$1: $(cat wrk.out)"; fi
    awk -v name="$1" -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" '
        / requests in / { requests = $1 }
        /^Requests\/sec/ { rate = $2 }
        END {
            if (!requests) exit 1
            printf "%s %.2f %.0f\n", name, ticks / hz * 1e6 / requests, rate
        }' wrk.out | tee -a results
}

upstream=$(free_port)
nginx_with upstream 1 "server { listen 127.0.0.1:$upstream; location / { return 200 '$body'; } }"
peer=$(free_port)
nginx_with peer 0 "
    upstream up { server 127.0.0.1:$upstream; keepalive 64; keepalive_requests 100000000; }
    server {
        listen 127.0.0.1:$peer;
        location /static { return 200 '$body'; }
        location /pass { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection \"\"; }
    }"
nginx=$pid
standin_with few 10
few=$pid few_url=$url
standin_with many "$operations"
many=$pid many_url=$url

for ready in "http://127.0.0.1:$upstream/" "http://127.0.0.1:$peer/static" "http://127.0.0.1:$peer/pass" \
    "$few_url/static" "$few_url/pass" "$many_url/static"; do
    await "$ready"
done
curl -si "$few_url/static" | grep -qi '^x-standin-source: mock' || fail "/static is not mocked"

echo "each: microseconds of CPU per request, requests per second"
for round in $(seq "$rounds"); do
    echo "round $round of $rounds"
    measure nginx-return "$nginx" "http://127.0.0.1:$peer/static"
    measure standin-mock-10 "$few" "$few_url/static"
    measure "standin-mock-$operations" "$many" "$many_url/static"
    measure nginx-proxy "$nginx" "http://127.0.0.1:$peer/pass"
    measure standin-pass "$few" "$few_url/pass"
done

median() { awk -v name="$1" '$1 == name { print $2 }' results | sort -n | awk '{ all[NR] = $1 } END { print (all[int((NR + 1) / 2)] + all[int(NR / 2) + 1]) / 2 }'; }
ratio() { awk -v one="$(median "$1")" -v other="$(median "$2")" 'BEGIN { printf "%.2f", one / other }'; }

echo
echo "medians, in microseconds of CPU per request"
for name in nginx-return standin-mock-10 "standin-mock-$operations" nginx-proxy standin-pass; do
    printf '  %-22s %7.2f\n' "$name" "$(median "$name")"
done
echo "ratios"
printf '  %-48s %s (at most 2.5)\n' "a mocked static answer to nginx return 200" "$(ratio standin-mock-10 nginx-return)"
printf '  %-48s %s (at most 3.0)\n' "passing through to nginx proxy_pass" "$(ratio standin-pass nginx-proxy)"
printf '  %-48s %s (about 1)\n' "$operations operations to 10" "$(ratio "standin-mock-$operations" standin-mock-10)"
