package programs

import "errors"

// postgres copies the empty database and starts its server, which refuses to be root.
const postgres = `
cp -a $BIN/pg/data data
as=; [ $USER_NAME != root ] || { as='setpriv --reuid 65534 --regid 65534 --clear-groups'; chown 65534:65534 .; }
exec $as postgres -D data -h $HOST -p $PORT -k $PWD -c fsync=off -c shared_buffers=16MB -c max_connections=30
`

// stores are the rows of databases.
func stores() []program {
	const redis = `exec redis-server --port $PORT --bind $HOST --save '' --appendonly no --dir $PWD`
	const psql = `psql -h $HOST -p $PORT -U postgres -v ON_ERROR_STOP=1 -X`
	return []program{
		{
			name: "redis", shows: "`client list` has both addresses; a large value; publish and subscribe",
			tools: []string{"redis-server", "redis-cli"}, user: true, moves: midSize,
			server: redis, ready: "Ready to accept connections",
			client: `cli() { redis-cli -h $HOST -p $PORT "$@"; }
test "$(cli set k v)" = OK; test "$(cli get k)" = v; cli client list
cli -x set big <$WWW/mid >/dev/null; cli --raw get big | head -c 8388608 | cmp - $WWW/mid
redis-cli -h $HOST -p $PORT --csv subscribe news >news & reader=$!
until grep -q subscribe news; do sleep 0.05; done
test "$(cli publish news today)" = 1
until grep -q today news; do sleep 0.05; done
kill $reader`,
			check: func(p *place) error {
				return wantMatch("client list", p.stdout, `addr=127\.0\.0\.1:\d+ laddr=127\.0\.0\.1:`+p.listener()+" ")
			},
		},
		{
			name: "redis-benchmark", shows: "50 clients, with and without pipelines",
			tools: []string{"redis-server", "redis-benchmark"}, user: true,
			server: redis, ready: "Ready to accept connections",
			client: `redis-benchmark -h $HOST -p $PORT -q -n 5000 -c 50 -t set,get; redis-benchmark -h $HOST -p $PORT -q -n 20000 -c 50 -P 16 -t get`,
			check: func(p *place) error {
				return errors.Join(
					wantMatch("redis-benchmark", p.stdout, `(?s)SET: [\d.]+ requests per second.*GET: [\d.]+ requests per second.*GET: [\d.]+ requests per second`),
					wantNoMatch("redis-benchmark", p.stdout, `(?i)error`))
			},
		},
		{
			name: "PostgreSQL, psql", shows: "`inet_client_addr()` and both ports; COPY both ways; a cancelled query",
			tools: []string{"postgres", "initdb", "psql", "setpriv"}, setup: []string{"database"}, user: true,
			server: postgres, ready: "database system is ready to accept connections",
			client: psql + ` -Atqc "select inet_client_addr(), inet_server_addr(), inet_server_port()"
seq 100000 >numbers
` + psql + ` -qc "create table n (i int)" -c "\copy n from numbers"
` + psql + ` -qc "\copy (select i from n order by i) to back"; cmp numbers back
` + psql + ` -Atqc "set statement_timeout = 300" -c "select pg_sleep(60)" 2>&1 | grep -q 'canceling statement'`,
			check: func(p *place) error {
				return want("addresses", p.stdout, "127.0.0.1|127.0.0.1|"+p.listener()+"\n")
			},
		},
		{
			name: "PostgreSQL, pgbench", shows: "8 clients, 1,600 queries; no transaction failed",
			tools: []string{"postgres", "initdb", "pgbench", "setpriv"}, setup: []string{"database"}, user: true,
			server: postgres, ready: "database system is ready to accept connections",
			client: `pgbench -h $HOST -p $PORT -U postgres -i -q -s 1 postgres 2>&1; pgbench -h $HOST -p $PORT -U postgres -n -S -c 8 -j 2 -t 200 postgres`,
			check: func(p *place) error {
				return errors.Join(
					wantMatch("pgbench", p.stdout, `number of transactions actually processed: 1600/1600`),
					wantMatch("pgbench", p.stdout, `number of failed transactions: 0 `))
			},
		},
	}
}
