package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// over says how a program was run, in the name of a figure.
var over = map[bool]string{false: "plain TCP", true: "quiver run"}

// iperf moves bytes by iperf3 and by bare QUIC.
func iperf(ctx context.Context, b *bench) error {
	rates := map[bool]float64{}
	for _, o := range []bool{false, true} {
		s, err := b.serve(ctx, o, "5201", "iperf3", "-s", "-p", "5201")
		if err != nil {
			return err
		}
		out, client, err := b.output(ctx, o, "iperf3", "-J", "-c", "127.0.0.1", "-p", "5201", "-t", strconv.Itoa(b.seconds))
		cpu := client + s.stop()
		if err != nil {
			return err
		}
		var r struct {
			End struct {
				Received struct {
					Bytes float64 `json:"bytes"`
					Rate  float64 `json:"bits_per_second"`
				} `json:"sum_received"`
			} `json:"end"`
		}
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			return err
		}
		rates[o] = r.End.Received.Rate
		b.note("iperf3, "+over[o]+": Gbit/s", rates[o]/1e9)
		b.note("iperf3, "+over[o]+": CPU-s/GiB", cpu.Seconds()/r.End.Received.Bytes*(1<<30))
	}
	bare, err := b.bare(ctx)
	if err != nil {
		return err
	}
	for stack, rate := range bare {
		b.note("bare "+stack+": Gbit/s", rate/1e3)
		b.note("iperf3, quiver run ÷ bare "+stack, rates[true]/1e6/rate)
	}
	return nil
}

// bare is what QUIC moves between two processes without any program, in Mbit/s by stack.
func (b *bench) bare(ctx context.Context) (map[string]float64, error) {
	file := filepath.Join(b.dir, "bench.json")
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.quiver, "bench", "--no-pin", "--rounds", "1", "--sizes", "2G", "--workload", "down", "--vs", "quic-go", "--json", file)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("quiver bench: %w: %s", err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return bareRates(text)
}

// traps measures calls that are brought to a supervisor.
func traps(ctx context.Context, b *bench) error {
	for _, o := range []bool{false, true} {
		out, _, err := b.output(ctx, o, "trap", b.mode)
		if err != nil {
			return err
		}
		var call, socket float64
		if _, err := fmt.Sscan(out, &call, &socket); err != nil {
			return err
		}
		b.note("call let go on, "+over[o]+": µs", call)
		b.note("socket and close, "+over[o]+": µs", socket)
	}
	return nil
}

// connects measures connects over a connection that is there.
func connects(ctx context.Context, b *bench) error {
	for _, o := range []bool{false, true} {
		s, err := b.serve(ctx, o, "7101", "echo", "127.0.0.1:7101")
		if err != nil {
			return err
		}
		out, _, err := b.output(ctx, o, "connect", "127.0.0.1:7101", "2000")
		s.stop()
		if err != nil {
			return err
		}
		var made, there float64
		if _, err := fmt.Sscan(out, &made, &there); err != nil {
			return err
		}
		b.note("connect, "+over[o]+": µs p50", made)
		b.note("a byte there and back, "+over[o]+": µs p50", there)
	}
	return nil
}

// ab makes a connection for each request, and then requests on twenty connections.
func ab(ctx context.Context, b *bench) error {
	conf := filepath.Join(b.dir, "nginx.conf")
	text := fmt.Sprintf("daemon off; worker_processes 2; pid %[1]s/nginx.pid; error_log %[1]s/nginx.log;\n%[2]sevents { worker_connections 4096; }\n"+
		"http { access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;\n"+
		"keepalive_requests 1000000; server { listen 7102 reuseport; location / { return 200 \"hello\\n\"; } } }\n", b.dir, asRoot("user root;\n"))
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return err
	}
	for _, o := range []bool{false, true} {
		s, err := b.serve(ctx, o, "7102", "nginx", "-e", b.dir+"/nginx.log", "-c", conf)
		if err != nil {
			return err
		}
		for _, kind := range [][]string{{"new connections/s", "-n", "10000"}, {"requests/s", "-k", "-n", "40000"}} {
			out, _, err := b.output(ctx, o, append([]string{"ab", "-q", "-c", "20"}, append(kind[1:], "http://127.0.0.1:7102/")...)...)
			if err != nil {
				s.stop()
				return err
			}
			rate, err := field(out, "Requests per second:")
			if err != nil {
				s.stop()
				return err
			}
			b.note("ab -c 20, "+over[o]+": "+kind[0], rate)
		}
		s.stop()
	}
	return nil
}

func asRoot(line string) string {
	if os.Geteuid() == 0 {
		return line
	}
	return ""
}

// field returns the number after a label.
func field(text, label string) (float64, error) {
	_, rest, found := strings.Cut(text, label)
	words := strings.Fields(rest)
	if !found || len(words) == 0 {
		return 0, fmt.Errorf("no %q in the output", label)
	}
	return strconv.ParseFloat(words[0], 64)
}

// redis puts 50 clients on one server.
func redis(ctx context.Context, b *bench) error {
	rates := map[bool]float64{}
	for _, o := range []bool{false, true} {
		s, err := b.serve(ctx, o, "7103", "redis-server", "--port", "7103", "--save", "", "--appendonly", "no")
		if err != nil {
			return err
		}
		const requests = 100000
		out, client, err := b.output(ctx, o, "redis-benchmark", "-p", "7103", "-t", "set", "-n", strconv.Itoa(requests), "-c", "50", "--csv")
		cpu := client + s.stop()
		if err != nil {
			return err
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		cells := strings.Split(strings.ReplaceAll(lines[len(lines)-1], `"`, ""), ",")
		if len(cells) < 2 {
			return fmt.Errorf("redis-benchmark said %q", out)
		}
		if rates[o], err = strconv.ParseFloat(cells[1], 64); err != nil {
			return err
		}
		b.note("redis SET, 50 clients, "+over[o]+": /s", rates[o])
		b.note("redis SET, 50 clients, "+over[o]+": CPU-µs each", cpu.Seconds()*1e6/requests)
	}
	b.note("redis SET, quiver run ÷ plain TCP", rates[true]/rates[false])
	return nil
}

// idle measures what idle connections keep of both supervisors' memory.
func idle(ctx context.Context, b *bench) error {
	s, err := b.serve(ctx, true, "7104", "sink", "127.0.0.1:7104")
	if err != nil {
		return err
	}
	defer s.stop()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	sums := map[int]float64{}
	for _, n := range []int{1, b.conns} {
		if sums[n], err = b.holding(ctx, s, n); err != nil {
			return err
		}
	}
	b.note("an idle connection, both supervisors: kB", (sums[b.conns]-sums[1])/float64(b.conns-1))
	return nil
}

// holding returns the resident memory, in kB, of the supervisors of s and of a program that holds n connections with it.
func (b *bench) holding(ctx context.Context, s *server, n int) (float64, error) {
	cmd := b.command(ctx, true, "", "hold", "127.0.0.1:7104", strconv.Itoa(n))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer cmd.Wait()
	defer stdin.Close()
	if _, err := io.ReadFull(stdout, make([]byte, len("held\n"))); err != nil {
		return 0, fmt.Errorf("%d connections could not be made", n)
	}
	time.Sleep(3 * time.Second) // until they rest
	return resident(cmd.Process.Pid) + resident(s.cmd.Process.Pid), nil
}

// resident returns the memory of the supervisor below a process, in kB.
func resident(pid int) float64 {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // it is a child of whichever thread started it
	for _, list := range lists {
		children, _ := os.ReadFile(list)
		for _, child := range strings.Fields(string(children)) {
			status, _ := os.ReadFile("/proc/" + child + "/status")
			if kB, err := field(string(status), "VmRSS:"); err == nil {
				return kB
			}
		}
	}
	return 0
}
