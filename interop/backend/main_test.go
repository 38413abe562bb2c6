package backend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be the sandbox and the launchers of a job, and its endpoints.
func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // with the race detector each of our many processes would take a second to end
	Main()
	switch os.Getenv("TESTCASE") {
	case "":
		os.Exit(m.Run())
	case "echo":
		os.Exit(map[string]func() int{Server: echoServer, Client: echoClient}[os.Getenv("ROLE")]())
	case "inspect":
		os.Exit(map[string]func() int{Server: echoServer, Client: inspect}[os.Getenv("ROLE")]())
	case "silent":
		time.Sleep(time.Minute)
	case "deaf": // to requests to end, with a child that outlives it
		signal.Ignore(syscall.SIGTERM)
		if os.Getenv("ROLE") == Server {
			go echoServer()
		}
		time.Sleep(time.Minute)
	case "exit 3":
		fmt.Print("no end of line")
		os.Exit(3)
	case "rude": // answers with something else than Version Negotiation
		serveUDP(func(b []byte) []byte { return []byte("hello there") })
	default:
		os.Exit(127)
	}
}

// echoServer answers as a QUIC server would answer the readiness probe, and sends everything else back.
func echoServer() int {
	return serveUDP(func(b []byte) []byte {
		if len(b) >= 1200 && bytes.HasPrefix(b, []byte("\xc0WAIT\x00\x00")) {
			return []byte("\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01")
		}
		return b
	})
}

func serveUDP(answer func([]byte) []byte) int {
	conn, err := net.ListenPacket("udp", os.Getenv("LISTEN"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	buf := make([]byte, 65536)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		conn.WriteTo(answer(buf[:n]), from)
	}
}

const echoPackets = 5

// echoClient sends packets to the server and writes those that come back to downloads.
func echoClient() int {
	conn, err := net.Dial("udp", os.Getenv("REQUESTS"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("asking", conn.RemoteAddr())
	var got []byte
	least := time.Minute
	for i := range echoPackets {
		began := time.Now()
		conn.Write(fmt.Appendf(nil, "packet %d\n", i))
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		buf := make([]byte, 2048)
		n, err := conn.Read(buf)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		got = append(got, buf[:n]...)
		least = min(least, time.Since(began))
	}
	if err := os.WriteFile(filepath.Join(os.Getenv("DOWNLOADS"), "echo"), got, 0o644); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Fprintln(os.Stderr, "round trip", least.Truncate(time.Millisecond))
	return 0
}

// view is what an endpoint sees of its world.
type view struct {
	Host       string
	UID, PID   int
	Env        []string
	Links      map[string][]string
	Hosts      map[string][]string
	Unknown    string // error of a name that nobody knows
	Dir        string
	Files      map[string]string // content or error
	Writable   map[string]string // "" or error
	GateTook   time.Duration
	GateError  string
	RootFiles  []string
	Argv       []string
	MTU        int
	Processes  int
	OldProc    bool // /proc is that of other namespaces
	DNSSilence time.Duration
}

// inspect writes a view to the logs and echoes once.
func inspect() int {
	v := view{UID: os.Getuid(), PID: os.Getpid(), Env: os.Environ(), Links: map[string][]string{}, Hosts: map[string][]string{},
		Files: map[string]string{}, Writable: map[string]string{}, Argv: os.Args}
	v.Host, _ = os.Hostname()
	v.Dir, _ = os.Getwd()
	links, _ := net.Interfaces()
	for _, l := range links {
		addrs, _ := l.Addrs()
		for _, a := range addrs {
			v.Links[l.Name] = append(v.Links[l.Name], a.String())
		}
		if l.Name == "eth0" {
			v.MTU = l.MTU
		}
	}
	for _, name := range []string{"sim", "server", "server4", "server6", "server46", "client", "localhost"} {
		v.Hosts[name], _ = net.LookupHost(name)
	}
	began := time.Now()
	if _, err := net.LookupHost("example.org"); err != nil {
		v.Unknown = err.Error()
	}
	v.DNSSilence = time.Since(began)
	for _, path := range []string{"/certs/cert.pem", "/www/file", "/proc/sys/net/ipv4/ip_forward", "/proc/self/comm", "/etc/passwd"} {
		data, err := os.ReadFile(path)
		if err != nil {
			data = []byte("error: " + err.Error())
		}
		v.Files[path] = string(data)
	}
	for _, dir := range []string{"/certs", "/www", "/downloads", "/logs", "/tmp", "/usr", "/etc/ssl", "/dev/shm"} {
		err := os.WriteFile(dir+"/quiver-test", nil, 0o644)
		v.Writable[dir] = fmt.Sprint(err)
	}
	entries, _ := os.ReadDir("/")
	for _, e := range entries {
		v.RootFiles = append(v.RootFiles, e.Name())
	}
	numbers, _ := filepath.Glob("/proc/[0-9]*")
	v.Processes = len(numbers)
	self, _ := os.Readlink("/proc/self")
	v.OldProc = self != fmt.Sprint(os.Getpid())
	began = time.Now()
	if conn, err := net.DialTimeout("tcp", "sim:57832", time.Second); err != nil {
		v.GateError = err.Error()
	} else {
		conn.Close()
	}
	v.GateTook = time.Since(began)
	data, _ := json.Marshal(v)
	if err := os.WriteFile("/logs/view.json", data, 0o644); err != nil {
		fmt.Println(err)
		return 1
	}
	return echoClient()
}
