package programs

// haproxy has a front for HTTP and one for bytes, before the same server, which is its own, and a server that is dead.
const haproxy = `
cat >conf <<END
global
	maxconn 200
	nbthread 2
defaults
	timeout connect 10s
	timeout client 30s
	timeout server 30s
	mode http
frontend web
	bind $AT tfo
	use_backend dead if { path /dead }
	default_backend up
backend up
	option forwardfor
	server one $HOST:$UP check inter 200
backend dead
	retries 0
	server none $HOST:$CLOSED
listen bytes
	mode tcp
	bind $HOST:$BYTES defer-accept
	server one $HOST:$UP
frontend upstream
	bind $HOST:$UP
	http-request return status 200 content-type text/plain lf-string "upstream for %[src] and %[req.hdr(x-forwarded-for)]\n"
END
exec haproxy -W -f conf
`

// services are the rows of servers that have protocols of their own, and of proxies.
func services() []program {
	return []program{
		{
			name: "haproxy", shows: "HTTP and bytes, checks, TCP_FASTOPEN and TCP_DEFER_ACCEPT; a dead server is 503",
			tools: []string{"haproxy", "curl"}, user: true, ports: []string{"BYTES", "UP"}, spare: []string{"CLOSED"},
			server: haproxy, ready: "Loading success",
			client: `curl -sS http://$AT/; curl -sS http://$HOST:$BYTES/; curl -sS -o /dev/null -w '%{http_code}\n' http://$AT/dead
for i in $(seq 50); do printf 'url = http://%s/\noutput = got%s\n' $AT $i; done >urls; curl -sS --parallel --parallel-max 50 -K urls; test $(cat got* | wc -l) = 50`,
			check: func(p *place) error {
				return want("answers", p.stdout, "upstream for 127.0.0.1 and 127.0.0.1\nupstream for 127.0.0.1 and \n503\n")
			},
		},
		{
			name: "h2load, nghttpd", shows: "2,000 requests in HTTP/2 without TLS, 100 at once in 10 connections",
			tools: []string{"nghttpd", "h2load", "curl"}, moves: 2000 * 4000,
			server: `echo ready to listen; exec nghttpd --no-tls -d $WWW -a $HOST $PORT`, ready: "ready to listen",
			client: `until curl -sf -o got --http2-prior-knowledge http://$AT/page.html; do sleep 0.05; done; cmp got $WWW/page.html
h2load -n 2000 -c 10 -m 10 http://$AT/page.html`,
			check: func(p *place) error {
				return wantMatch("h2load", p.stdout, `2000 succeeded, 0 failed, 0 errored, 0 timeout`)
			},
		},
		{
			name: "memcached", shows: "20 clients at once, 4,000 values; one of 1 MB",
			tools: []string{"memcached", "memcslap", "memccp", "memccat"}, user: true, moves: 2e6,
			server: `exec memcached -vv -u nobody -l $HOST -p $PORT -U 0 -I 2m`, ready: "server listening",
			client: `memcslap --servers=$AT --concurrency=20 --execute-number=200 --test=set
head -c 1000000 $WWW/mid >value; memccp --servers=$AT value; memccat --servers=$AT value | head -c 1000000 | cmp - value`,
			check: func(p *place) error { return wantNoMatch("memcslap", p.stdout+p.talk, `(?i)fail|error`) },
		},
		{
			name: "mosquitto", shows: "MQTT: 30 messages that are acknowledged, or twice, arrive in order",
			tools: []string{"mosquitto", "mosquitto_pub", "mosquitto_sub"}, user: true,
			server: `printf 'listener %s %s\nallow_anonymous true\nuser %s\n' $PORT $HOST $USER_NAME >conf; exec mosquitto -v -c conf`, ready: "mosquitto version .* running",
			client: `stdbuf -oL mosquitto_sub -d -h $HOST -p $PORT -q 2 -t news -C 30 -W 30 >got & reader=$!
until grep -q Subscribed got; do kill -0 $reader; sleep 0.05; done
seq 15 | mosquitto_pub -h $HOST -p $PORT -q 1 -t news -l; seq 16 30 | mosquitto_pub -h $HOST -p $PORT -q 2 -t news -l
wait $reader; seq 30 >want; grep '^[0-9]*$' got | cmp - want`,
		},
		{
			name: "dig, dnsmasq", shows: "DNS over TCP, several questions in a connection; a process for each",
			tools:  []string{"dnsmasq", "dig"},
			server: `exec dnsmasq -d -C /dev/null -u $USER_NAME -p $PORT --listen-address=$HOST --bind-interfaces --no-resolv --no-hosts --no-ping --pid-file --address=/foo.test/192.0.2.1`,
			ready:  "started, version",
			client: `for i in $(seq 5); do dig +tcp +keepopen +short -p $PORT @$HOST a$i.foo.test b$i.foo.test c$i.foo.test; done | sort | uniq -c | tr -s ' '`,
			check:  func(p *place) error { return want("addresses", p.stdout, " 15 192.0.2.1\n") },
		},
		{
			name: "svn, svnserve", shows: "check out, commit 4 MiB, read them back",
			tools: []string{"svn", "svnserve", "svnadmin"}, user: true, moves: 4 << 20,
			server: `svnadmin create r; printf '[general]\nanon-access = write\n' >r/conf/svnserve.conf; echo ready to listen; exec svnserve -d --foreground --listen-host $HOST --listen-port $PORT -r $PWD`,
			ready:  "ready to listen",
			client: `until svn --non-interactive ls svn://$AT/r; do sleep 0.05; done
svn co -q svn://$AT/r w; head -c 4194304 $WWW/mid >w/file; svn add -q w/file; svn ci -q -m one w; svn cat svn://$AT/r/file | cmp - w/file`,
		},
		{
			name: "systemd-socket-activate", shows: "connections that another program has accepted, by a descriptor at exec",
			tools: []string{"systemd-socket-activate", "nc"}, user: true, moves: midSize,
			server: `exec systemd-socket-activate -l $AT --inetd -a sha256sum`, ready: "Listening on",
			client: `for i in 1 2 3; do test "$(head -c 3000000 $WWW/mid | nc -nN $HOST $PORT)" = "$(head -c 3000000 $WWW/mid | sha256sum)"; done`,
		},
	}
}
