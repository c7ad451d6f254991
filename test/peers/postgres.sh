#!/usr/bin/env bash
# postgres.sh DIR DATABASE...: makes a PostgreSQL cluster in DIR, on port 5439 of
# this machine, with these databases, as durable as it is by default.
set -euo pipefail
dir=$1
shift
bin=/usr/lib/postgresql/15/bin
as=()
if [ "$(id -u)" = 0 ]; then
	as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
	chown postgres:postgres "$dir"
fi
chmod 700 "$dir"
cd "$dir"
"${as[@]}" "$bin/initdb" -D "$dir" -A trust -U postgres >/dev/null
cat >>"$dir/postgresql.conf" <<END
port = 5439
listen_addresses = '127.0.0.1'
unix_socket_directories = '$dir'
shared_buffers = 256MB
max_connections = 200
END
"${as[@]}" "$bin/pg_ctl" -D "$dir" -w -s -l "$dir/init.log" start
for database; do
	psql -q -h 127.0.0.1 -p 5439 -U postgres -c "create database $database"
done
"${as[@]}" "$bin/pg_ctl" -D "$dir" -w -s -m fast stop
