package programs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// netcats are the rows of programs that move bytes as they are.
func netcats() []program {
	return []program{
		{
			name: "nc, client sends", shows: "8 MiB arrive whole; FIN ends both",
			tools: []string{"nc"}, user: true, quick: true, ends: true, moves: midSize,
			server: `exec nc -lvn $HOST $PORT >got </dev/null`, ready: "Listening on",
			client: `nc -nN $HOST $PORT <$WWW/mid`,
			check:  func(p *place) error { return p.sameFile("server/got", "mid") },
		},
		{
			name: "nc, server sends", shows: "8 MiB the other way; the client closes last",
			tools: []string{"nc"}, user: true, ends: true, moves: midSize,
			server: `exec nc -lvnN $HOST $PORT <$WWW/mid`, ready: "Listening on",
			client: `nc -nd $HOST $PORT >got; cmp got $WWW/mid`,
		},
		{
			name: "nc, IPv6", shows: "the same over `::1`",
			tools: []string{"nc"}, ipv6: true, ends: true, moves: midSize,
			server: `exec nc -6lvn $HOST $PORT >got </dev/null`, ready: "Listening on",
			client: `nc -6nN $HOST $PORT <$WWW/mid`,
			check:  func(p *place) error { return p.sameFile("server/got", "mid") },
		},
		{
			name: "nc -N, half close", shows: "the answer comes after the client's FIN",
			tools: []string{"nc", "socat"}, user: true, ends: true, moves: midSize,
			server: `exec socat -d -d -t 20 TCP-LISTEN:$PORT,bind=$HOST,reuseaddr EXEC:sha256sum`, ready: "listening on",
			client: `test "$(nc -nN $HOST $PORT <$WWW/mid)" = "$(sha256sum <$WWW/mid)"`,
		},
		{
			name: "nc -z, closed and open port", shows: "a refusal is told from a listener, in time",
			tools: []string{"nc", "socat"}, user: true, spare: []string{"CLOSED"}, not: map[string]string{"client-gateway": refusalOfGateways},
			server: `exec socat -d -d TCP-LISTEN:$PORT,bind=$HOST,fork,reuseaddr EXEC:cat`, ready: "listening on",
			client: `nc -nzv -w 20 $HOST $PORT; ! nc -nzv -w 20 $HOST $CLOSED; test "$(echo echo | nc -nN $HOST $PORT)" = echo`,
			check: func(p *place) error {
				if !regexp.MustCompile(`Connection to \S+ \d+ port .*succeeded`).MatchString(p.talk) || !regexp.MustCompile(`port \d+ \(tcp\) failed: Connection refused`).MatchString(p.talk) {
					return errors.New("nc -z did not say that one port is open and the other refuses")
				}
				return nil
			},
		},
		{
			name: "telnet", shows: "a session by hand with a web server",
			tools: []string{"telnet", "python3"}, user: true, setup: []string{"files"},
			server: `exec python3 -u -m http.server --bind $HOST --directory $WWW $PORT`, ready: "Serving HTTP",
			client: `touch got; (printf 'GET /page.html HTTP/1.0\n\n'; until grep -q '</html>' got; do sleep 0.05; done) | telnet $HOST $PORT >got 2>&1 || true; cat got`,
			check: func(p *place) error {
				if !regexp.MustCompile(`(?s)Connected to.*200 OK.*</html>.*Connection closed by foreign host`).MatchString(p.stdout) {
					return errors.New("telnet did not show a connection, the page and its end")
				}
				return nil
			},
		},
		{
			name: "socat, fork", shows: "20 clients at once, a child for each",
			tools: []string{"socat"}, user: true,
			server: `exec socat -d -d TCP-LISTEN:$PORT,bind=$HOST,fork,reuseaddr,backlog=64 EXEC:cat`, ready: "listening on",
			client: `for i in $(seq 20); do (echo line $i | socat -t 20 - TCP:$AT >got$i) & done; wait; for i in $(seq 20); do test "$(cat got$i)" = "line $i"; done`,
		},
		{
			name: "socat, nofork", shows: "a connection handed to another program by exec; IPv6",
			tools: []string{"socat"}, ipv6: true, ends: true,
			server: `exec socat -d -d TCP6-LISTEN:$PORT,bind=[$HOST],reuseaddr EXEC:'tr a-z A-Z',nofork`, ready: "listening on",
			client: `test "$(echo loud | socat -t 20 - TCP6:$AT)" = LOUD`,
		},
		{
			name: "rsync", shows: "a daemon with a protocol of its own both ways",
			tools: []string{"rsync"}, moves: midSize,
			server: `printf 'use chroot = no\n[files]\npath = %s\n[in]\npath = %s\nread only = no\n' $WWW $PWD/in >conf
mkdir -m 777 in; chmod 755 .; touch log; tail -f log & exec rsync --daemon --no-detach --log-file=$PWD/log --config=conf --address=$HOST --port=$PORT`, ready: "rsyncd version",
			// It says that it listens before it does.
			client: `until rsync --list-only rsync://$AT/; do sleep 0.05; done; rsync rsync://$AT/files/mid got; cmp got $WWW/mid; rsync got rsync://$AT/in/; rsync --checksum --out-format=%n got rsync://$AT/in/ >again; test ! -s again`,
			user:   true,
		},
	}
}

// sameFile compares a file that a program wrote with one of those to serve.
func (p *place) sameFile(got, served string) error {
	a, err := os.ReadFile(filepath.Join(p.dir, got))
	if err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(p.built.www, served))
	if err != nil {
		return err
	}
	if string(a) != string(b) {
		return fmt.Errorf("%s has %d bytes, want the %d of %s", got, len(a), len(b), served)
	}
	return nil
}

// iperfs are the rows of iperf3.
func iperfs() (list []program) {
	for _, way := range []struct {
		name, options, shows string
		streams              int
	}{
		{"iperf3", "", "one stream, 64 MiB", 1},
		{"iperf3 -P 4", "-P 4", "four streams at once", 4},
		{"iperf3 -R", "-R", "the server sends", 1},
		{"iperf3 --bidir -Z", "--bidir -Z", "both ways at once, by sendfile", 2},
	} {
		list = append(list, program{
			name: way.name, shows: way.shows + "; its own report says no error",
			tools: []string{"iperf3"}, user: way.streams == 1, ends: true, moves: 1 << 20,
			server: `exec iperf3 -s -1 --forceflush -B $HOST -p $PORT`, ready: "Server listening on",
			client: `iperf3 -J -n 64M -c $HOST -p $PORT ` + way.options,
			check:  func(p *place) error { return checkIperf(p.stdout, way.streams) },
		})
		if strings.Contains(way.options, "--bidir") {
			list[len(list)-1].not = map[string]string{"client-gateway": orderOfGateways}
		}
	}
	return list
}

// checkIperf reads iperf3's report.
func checkIperf(text string, streams int) error {
	type total struct {
		Bytes float64 `json:"bytes"`
	}
	var report struct {
		Error string `json:"error"`
		End   struct {
			Streams  []any `json:"streams"`
			Sent     total `json:"sum_sent"`
			Received total `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		return fmt.Errorf("report of iperf3: %w", err)
	}
	if e := report.End; report.Error != "" || len(e.Streams) != streams || e.Sent.Bytes == 0 || e.Received.Bytes == 0 {
		return fmt.Errorf("iperf3 says error %q, %d streams, %.0f bytes sent and %.0f received, want none, %d and some", report.Error, len(e.Streams), e.Sent.Bytes, e.Received.Bytes, streams)
	}
	return nil
}
