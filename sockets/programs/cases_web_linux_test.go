package programs

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// nginx starts it with two workers, a listener for each, an upstream of its own at PORT2, and another one that is dead. As root its
// workers drop their rights.
const nginx = `
[ $USER_NAME != root ] || user='user nobody nogroup;'
cat >conf <<END
daemon off; master_process on; worker_processes 2; pid nginx.pid; error_log stderr notice; ${user:-}
events { worker_connections 600; }
http {
	access_log access.log; sendfile on; default_type text/html; keepalive_requests 10000;
	client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fast; uwsgi_temp_path uw; scgi_temp_path s;
	server {
		listen $LISTENER reuseport;
		SSL
		root $WWW;
		location /up/ { proxy_pass http://$UPSTREAM/; }
		location /dead/ { proxy_pass http://$DEAD/; }
	}
	server { listen $UPSTREAM; return 200 "upstream of \$remote_addr\n"; }
}
END
sed -i "s|SSL|${SSL:-}|" conf
chmod 755 .; exec nginx -e stderr -p $PWD -c $PWD/conf
`

// withNginx completes a row whose server is nginx.
func withNginx(p program) program {
	settings := `LISTENER=$AT UPSTREAM=$HOST:$PORT2 DEAD=$HOST:$CLOSED`
	if p.ipv6 {
		settings = `LISTENER=$AT UPSTREAM=[$HOST]:$PORT2 DEAD=[$HOST]:$CLOSED`
	}
	p.server = settings + "\n" + p.server + nginx
	p.ready = "start worker process"
	p.ports, p.spare = append(p.ports, "PORT2"), append(p.spare, "CLOSED")
	p.tools = append(p.tools, "nginx")
	return p
}

// webs are the rows of web servers and their clients.
func webs() []program {
	return []program{
		{
			name: "curl and python3 -m http.server", shows: "the README's example; the server's log has the client's address",
			tools: []string{"curl", "python3"}, user: true, quick: true,
			server: `exec python3 -u -m http.server --bind $HOST --directory $WWW $PORT`, ready: "Serving HTTP",
			client: `curl -sS http://$AT/page.html | cmp - $WWW/page.html; curl -sSI http://$AT/mid | grep -q 'Content-Length: 8388608'`,
			check: func(p *place) error {
				return wantMatch("access log", p.server.out.String(), `(?m)^127\.0\.0\.1 - - .*"GET /page.html HTTP/1.1" 200`)
			},
		},
		{
			name: "curl, by name", shows: "`localhost` is looked up; `::1` refuses, `127.0.0.1` answers",
			tools: []string{"curl", "python3"}, user: true,
			server: `exec python3 -u -m http.server --bind $HOST --directory $WWW $PORT`, ready: "Serving HTTP",
			client: `curl -sS http://localhost:$PORT/page.html | cmp - $WWW/page.html`,
		},
		{
			name: "curl, refused", shows: "`--max-time 20` to a closed port: exit 7 at once",
			tools: []string{"curl", "python3"}, user: true, spare: []string{"CLOSED"}, not: map[string]string{"client-gateway": refusalOfGateways},
			server: `exec python3 -u -m http.server --bind $HOST --directory $WWW $PORT`, ready: "Serving HTTP",
			client: `curl -sS -o /dev/null http://$AT/page.html; e=0; curl -sS --max-time 20 http://$HOST:$CLOSED/ || e=$?; test $e = 7`,
		},
		withNginx(program{
			name: "curl --parallel, nginx", shows: "100 transfers at once, two workers with reuseport",
			tools: []string{"curl"},
			client: `for i in $(seq 100); do printf 'url = http://%s/page.html?%s\noutput = got%s\n' $AT $i $i; done >urls
curl -sS --parallel --parallel-max 100 -K urls; for i in $(seq 100); do cmp got$i $WWW/page.html; done`,
			check: func(p *place) error {
				log := p.read("server/access.log")
				if n := strings.Count(log, "\n127.0.0.1 - - ") + 1; n != 100 {
					return fmt.Errorf("access log has %d lines that begin with the client's address, want 100:\n%s", n, clip(log))
				}
				return nil
			},
		}),
		withNginx(program{
			name: "curl, nginx, 50 MB", shows: "sendfile; the file is compared",
			tools: []string{"curl"}, user: true, moves: bigSize,
			client: `curl -sS http://$AT/big | cmp - $WWW/big`,
		}),
		withNginx(program{
			name: "curl, nginx, IPv6", shows: "page, log and upstream over `::1`",
			tools: []string{"curl"}, ipv6: true,
			client: `curl -gsS http://$AT/page.html | cmp - $WWW/page.html; curl -gsS http://$AT/up/`,
			check: func(p *place) error {
				return errors.Join(
					want("upstream", p.stdout, "upstream of ::1\n"),
					wantMatch("access log", p.read("server/access.log"), `(?m)^::1 - - .*"GET /page.html HTTP/1.1" 200`))
			},
		}),
		withNginx(program{
			name: "nginx as a proxy", shows: "an upstream in the same run; a dead upstream is 502",
			tools: []string{"curl"}, user: true,
			client: `curl -sS http://$AT/up/; curl -sS -o /dev/null -w '%{http_code}\n' http://$AT/dead/`,
			check:  func(p *place) error { return want("answers", p.stdout, "upstream of 127.0.0.1\n502\n") },
		}),
		withNginx(program{
			name: "curl, nginx, TLS", shows: "https and HTTP/2 inside",
			tools: []string{"curl", "openssl"}, setup: []string{"cert"}, moves: midSize,
			server: `LISTENER="$AT ssl http2" SSL="ssl_certificate $BIN/tls.crt; ssl_certificate_key $BIN/tls.key;"`,
			client: `curl -sS --cacert $BIN/tls.crt --connect-to localhost:$PORT:$AT -w '%{http_version}' -o got https://localhost:$PORT/mid; cmp got $WWW/mid`,
			check:  func(p *place) error { return want("HTTP version", p.stdout, "2") },
		}),
		withNginx(program{
			name: "ab", shows: "2,000 requests, 20 at once, a connection for each",
			tools: []string{"ab"}, user: true,
			client: `ab -q -n 2000 -c 20 http://$AT/page.html`, check: checkAB,
		}),
		withNginx(program{
			name: "ab -k", shows: "2,000 requests, 20 at once, over connections that are kept",
			tools:  []string{"ab"},
			client: `ab -q -k -n 2000 -c 20 http://$AT/page.html`, check: checkAB,
		}),
		withNginx(program{
			name: "wget", shows: "a download that is broken off and resumed",
			tools: []string{"wget"}, moves: midSize,
			client: `wget -q -O- http://$AT/mid | head -c 1000000 >mid; wget -q -c http://$AT/mid; cmp mid $WWW/mid`,
		}),
		{
			name: "git over HTTP", shows: "clone, push, clone again; packs both ways",
			tools: []string{"git"}, setup: []string{"gitserve"}, user: true, moves: 4 << 20,
			server: `git init -q --bare a.git; git -C a.git config http.receivepack true; exec $BIN/gitserve -listen $AT -root $PWD`, ready: "listening",
			client: gitSession("http://$AT/a.git"),
		},
		{
			name: "git daemon", shows: "git's own protocol, a process for each connection",
			tools: []string{"git-daemon"}, moves: 4 << 20,
			server: `git init -q --bare a.git; exec git daemon --verbose --export-all --enable=receive-pack --reuseaddr --listen=$HOST --port=$PORT --base-path=$PWD`, ready: "Ready to rumble",
			client: gitSession("git://$AT/a.git"),
		},
	}
}

// gitSession pushes half of mid to a repository and clones it again.
func gitSession(url string) string {
	return `export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@localhost GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@localhost GIT_TERMINAL_PROMPT=0
git clone -q ` + url + ` one; head -c 4194304 $WWW/mid >one/file; git -C one add file; git -C one commit -q -m one; git -C one push -q origin HEAD:refs/heads/main
git clone -q -b main ` + url + ` two; cmp one/file two/file; git -C two fsck --strict; test "$(git -C one rev-parse HEAD)" = "$(git -C two rev-parse origin/main)"`
}

// checkAB reads the report of ab.
func checkAB(p *place) error {
	return errors.Join(
		wantMatch("ab", p.stdout, `Complete requests: +2000\n`),
		wantMatch("ab", p.stdout, `Failed requests: +0\n`),
		wantNoMatch("ab", p.stdout, `Non-2xx responses`))
}

func wantMatch(subject, text, pattern string) error {
	if regexp.MustCompile(pattern).MatchString(text) {
		return nil
	}
	return fmt.Errorf("%s: no match of %q in:\n%s", subject, pattern, clip(text))
}

func wantNoMatch(subject, text, pattern string) error {
	if found := regexp.MustCompile(pattern).FindString(text); found != "" {
		return fmt.Errorf("%s: %q must not be in it", subject, found)
	}
	return nil
}
