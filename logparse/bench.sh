#!/usr/bin/env bash
# How fast authorization URLs are found, beside ripgrep, and how fast everything else is: a Certbot log of MIB MiB (see
# logparse/bench) is read by each in turn, ROUNDS times. For each there is the median of the times of a whole process, and
# of its ratios to ripgrep in the same round. ripgrep prints every mention and has one thread; clear-authz prints each URL
# once. History judges every authorization; leaks makes a report of that, too.
#
#     MIB=512 ROUNDS=9 logparse/bench.sh
#
# Another command to measure is another line in commands.
set -euo pipefail
cd "$(dirname "$0")/.."

mib=${MIB:-512} rounds=${ROUNDS:-9}
command -v rg >/dev/null || { echo "ripgrep is missing: apt-get install ripgrep" >&2; exit 1; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/acmeauthz-bench-XXXXXX")
trap 'rm -rf "$dir"' EXIT

log=$dir/letsencrypt.log
go build -o "$dir" ./logparse/bench ./examples/clear-authz
"$dir/bench" -mib "$mib" >"$log"
bytes=$(stat -c %s "$log" 2>/dev/null || stat -f %z "$log")

# Name, and command with its arguments. The first is what the others are compared with.
commands=(
	"rg -j1|rg -j1 --no-config -o https://[^\"\\s]*/authz/[A-Za-z0-9_/-]+ $log"
	"clear-authz urls|$dir/clear-authz urls $log"
	"clear-authz urls, one core|env GOMAXPROCS=1 $dir/clear-authz urls $log"
	"Events and History|$dir/bench -history $log"
	"clear-authz leaks|$dir/clear-authz -q leaks $log"
)

# seconds prints how long a command takes.
seconds() {
	local start=$EPOCHREALTIME
	"$@" >"$dir/out"
	awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.4f\n", b - a }'
}

cat "$log" >/dev/null # into the page cache
for ((round = 0; round <= rounds; round++)); do
	for i in "${!commands[@]}"; do
		read -ra command <<<"${commands[i]#*|}"
		time=$(seconds "${command[@]}")
		wc -l <"$dir/out" >"$dir/lines.$i"
		[ "$round" -eq 0 ] || echo "$time" >>"$dir/times.$i" # the first round warms up
	done
done

median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

printf '%d bytes, %d rounds, %s\n\n' "$bytes" "$rounds" "$(go version)"
printf '| %-27s | %8s | %8s | %8s | %9s |\n' command seconds MB/s ratio lines
printf '| --- | --- | --- | --- | --- |\n'
for i in "${!commands[@]}"; do
	time=$(median <"$dir/times.$i")
	ratio=$(paste "$dir/times.0" "$dir/times.$i" | awk '{ print $1 / $2 }' | median)
	awk -v name="${commands[i]%%|*}" -v time="$time" -v bytes="$bytes" -v ratio="$ratio" -v lines="$(cat "$dir/lines.$i")" \
		'BEGIN { printf "| %-27s | %8.3f | %8.0f | %8.2f | %9d |\n", name, time, bytes / time / 1e6, ratio, lines }'
done
