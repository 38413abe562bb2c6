package programs

import "errors"

// languages are the rows of programs whose sockets come from a language's own library.
func languages() []program {
	allDone := func(p *place) error { return wantMatch("client", p.stdout, "all as it must be") }
	return []program{
		{
			name: "Python, asyncio", shows: "500 clients at once, one thread at each end",
			tools: []string{"python3"}, user: true,
			server: `exec python3 $SCRIPTS/echo_server.py`, ready: "listening",
			client: `exec python3 $SCRIPTS/echo_clients.py`,
			check:  func(p *place) error { return want("client", p.stdout, "clients: 500\n") },
		},
		{
			name: "Python, names", shows: "connect without blocking, epoll; both ends agree on both addresses",
			tools: []string{"python3"}, user: true, ends: true,
			not:    map[string]string{"server-gateway": namesOfGateways, "client-gateway": namesOfGateways},
			server: `exec python3 $SCRIPTS/names_server.py`, ready: "listening",
			client: `exec python3 $SCRIPTS/names_client.py`,
			check:  func(p *place) error { return want("client", p.stdout, "peer same\nself same\n") },
		},
		{
			name: "Python, names, IPv6", shows: "the same over `::1`",
			tools: []string{"python3"}, ipv6: true, ends: true,
			not:    map[string]string{"server-gateway": namesOfGateways, "client-gateway": namesOfGateways},
			server: `exec python3 $SCRIPTS/names_server.py`, ready: "listening",
			client: `exec python3 $SCRIPTS/names_client.py`,
			check:  func(p *place) error { return want("client", p.stdout, "peer same\nself same\n") },
		},
		{
			name: "Python, urllib", shows: "8 MiB in four threads; a closed port is ECONNREFUSED",
			tools: []string{"python3"}, spare: []string{"CLOSED"}, moves: 4 * midSize,
			server: `exec python3 -u -m http.server --bind $HOST --directory $WWW $PORT`, ready: "Serving HTTP",
			client: `exec python3 $SCRIPTS/urllib_client.py`, check: allDone,
		},
		{
			name: "Go, static", shows: "net/http without cgo, listener with MPTCP; 500 requests, addresses, abort, deadline, refusal",
			setup: []string{"gohttp"}, user: true, spare: []string{"CLOSED"}, moves: 10e6,
			server: `exec $BIN/gohttp server $AT`, ready: "listening",
			client: `exec $BIN/gohttp client $AT $HOST:$CLOSED $SAME`, check: allDone,
		},
		{
			name: "Go, static, IPv6", shows: "the same over `::1`",
			setup: []string{"gohttp"}, ipv6: true, spare: []string{"CLOSED"}, moves: 10e6,
			server: `exec $BIN/gohttp server $AT`, ready: "listening",
			client: `exec $BIN/gohttp client $AT [$HOST]:$CLOSED $SAME`, check: allDone,
		},
		{
			name: "Node", shows: "fetch and http.get: 100 requests at once, a kept connection, 4 MiB, a refusal",
			tools: []string{"node"}, user: true, spare: []string{"CLOSED"}, moves: 4 << 20,
			server: `exec node $SCRIPTS/both.js server`, ready: "listening",
			client: `exec node $SCRIPTS/both.js client`, check: allDone,
		},
		{
			name: "Java", shows: "HttpServer and HttpClient: 100 requests at once, IPv4 in IPv6 sockets, a refusal",
			tools: []string{"java", "javac"}, setup: []string{"java"}, user: true, spare: []string{"CLOSED"}, moves: 4 << 20,
			server: `exec java -XX:TieredStopAtLevel=1 -cp $BIN/java Both server`, ready: "listening",
			client: `exec java -XX:TieredStopAtLevel=1 -cp $BIN/java Both client`, check: allDone,
		},
		{
			name: "Perl and bash", shows: "IO::Socket forks for each client; /dev/tcp",
			tools: []string{"perl", "bash"},
			server: `exec perl -MIO::Socket::INET -e '$SIG{CHLD} = "IGNORE"; my $l = IO::Socket::INET->new(LocalAddr => $ENV{HOST}, LocalPort => $ENV{PORT}, Listen => 20, ReuseAddr => 1) or die "$!";
$| = 1; print "listening\n"; while (1) { my $c = $l->accept or next; if (fork) { close $c; next } print $c scalar reverse(<$c> =~ s/\n//r), " ", $c->peerhost, "\n"; exit }'`, ready: "listening",
			client: `bash -euc 'for i in {1..10}; do exec 3<>/dev/tcp/$HOST/$PORT; echo abc$i >&3; read -r line <&3; exec 3>&-; echo $line; done' | sort -u | wc -l; bash -uc 'exec 3<>/dev/tcp/$HOST/$PORT; echo abc >&3; cat <&3'`,
			check: func(p *place) error {
				return errors.Join(wantMatch("client", p.stdout, `^10\ncba 127\.0\.0\.1\n$`))
			},
		},
	}
}

// What gateways cannot do.
const (
	namesOfGateways   = "a gateway has two connections of its own, whose names differ"
	orderOfGateways   = "connections that a client makes at the same time can arrive in another order, by which iperf3 tells its two directions"
	refusalOfGateways = "a gateway has accepted the client before it asks the far side, so that a refusal is a reset"
)
