package control

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// full is a program with something in every member.
func full() Program {
	addr := netip.MustParseAddrPort
	since := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return Program{
		PID: 41, Child: 42, Network: "net:[1]", Command: []string{"curl", "http://10.0.0.7:8000/"}, Kind: Run, Mode: "inside",
		Policy: "connect default quic\n", UDP: []netip.AddrPort{addr("[::]:8277")}, Started: since, Processes: 2,
		Listeners: []Listener{{TCP: addr("0.0.0.0:8000"), UDP: 8277, Via: QUIC, Rule: "listen default"}},
		Peers: []Peer{{Address: addr("10.0.0.7:8277"), Direction: Out, Identity: "sha256:ab", State: "open", Since: since, RTT: 3 * time.Millisecond,
			MinRTT: time.Millisecond, CongestionWindow: 12000, PacketsSent: 200, PacketsLost: 3, BytesSent: 5, BytesReceived: 6,
			StreamsOpen: 1, StreamsTotal: 9, ZeroRTT: true, Migrations: 1}},
		Conns: []Conn{{App: addr("10.0.0.2:40000"), Dest: addr("10.0.0.7:8000"), Name: "web", Direction: Out, Via: QUIC, State: "open",
			Since: since, BytesUp: 1, BytesDown: 2, PID: 42, Command: "curl", Rule: "connect default"}},
		Counters:     Counters{Conns: 1, Held: 2, Refused: 3, Fallbacks: 4, Dropped: 5, Trapped: 6, BytesUp: 7, BytesDown: 8},
		PeersLeftOut: 1, ConnsLeftOut: 2, ListenersLeftOut: 3,
	}
}

func TestPublishedProgramIsListedAsItIs(t *testing.T) {
	runtimeDir(t)
	want := full()
	publish(t, want, nil)
	got, err := List(t.Context())
	want.Version, want.UID = Version, os.Geteuid()
	if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("List = %+v, %v, want %+v", got, err, want)
	}
}

func TestEveryMemberOfAProgramTravels(t *testing.T) {
	var check func(path string, v reflect.Value)
	check = func(path string, v reflect.Value) {
		switch {
		case v.Kind() == reflect.Struct && v.Type().PkgPath() == reflect.TypeFor[Program]().PkgPath():
			for i := range v.NumField() {
				check(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
		case v.Kind() == reflect.Slice && v.Len() > 0:
			check(path+"[0]", v.Index(0))
		case v.IsZero() && path != "Program.Version" && path != "Program.UID":
			t.Errorf("%s is empty in the example, so nothing shows that it travels", path)
		}
	}
	check("Program", reflect.ValueOf(full()))
}

func TestPublishFillsInWhatItKnows(t *testing.T) {
	runtimeDir(t)
	publish(t, Program{Kind: Gateway}, nil)
	got, err := Get(t.Context(), os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if got.PID != os.Getpid() || got.UID != os.Geteuid() || got.Version != Version || got.Network != networkName() {
		t.Errorf("PID %d, UID %d, version %d, network %q, want those of this process", got.PID, got.UID, got.Version, got.Network)
	}
}

func TestNothingRunningIsAnEmptyList(t *testing.T) {
	runtimeDir(t) // does not even exist
	if got, err := List(t.Context()); got == nil || len(got) != 0 || err != nil {
		t.Errorf("List = %#v, %v, want an empty list", got, err)
	}
}

func TestGetFindsSupervisorsAndTheirPrograms(t *testing.T) {
	runtimeDir(t)
	publish(t, Program{PID: 50, Child: 70}, nil)
	publish(t, Program{PID: 60, Child: 50}, nil)
	for pid, want := range map[int]int{50: 50, 60: 60, 70: 50} { // a supervisor before a program of the same number
		if got, err := Get(t.Context(), pid); err != nil || got.PID != want {
			t.Errorf("Get(%d) = %d, %v, want %d", pid, got.PID, err, want)
		}
	}
	_, err := Get(t.Context(), 1)
	unknown, ok := errors.AsType[*UnknownError](err)
	if !ok || unknown.PID != 1 || len(unknown.There) != 2 {
		t.Fatalf("Get(1): %v, want an UnknownError with both", err)
	}
	if want := "no program 1 runs under quiver; there are: 50, 60"; unknown.Error() != want {
		t.Errorf("error %q, want %q", unknown, want)
	}
}

func TestUnknownProgramWhenNoneRuns(t *testing.T) {
	runtimeDir(t)
	if _, err := Get(t.Context(), 7); err == nil || err.Error() != "no program 7: none runs under quiver" {
		t.Errorf("Get: %v", err)
	}
}

func TestCloseRemovesTheSocket(t *testing.T) {
	dir := runtimeDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	first, err := Publish(ctx, func() Program { return Program{} }, nil)
	if err != nil {
		t.Fatal(err)
	}
	second := publish(t, Program{}, nil)
	if first.Path() == second.Path() {
		t.Errorf("two supervisors have the socket %s", first.Path())
	}
	if err := errors.Join(second.Close(), second.Close()); err != nil {
		t.Error(err)
	}
	cancel()
	first.Close() // waits for the one that the context began
	if left := sockets(t, dir); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}

func TestContextThatIsOverPublishesNothing(t *testing.T) {
	dir := runtimeDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if p, err := Publish(ctx, func() Program { return Program{} }, nil); err == nil {
		p.Close()
	}
	if left := sockets(t, dir); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}

// sockets lists a directory.
func sockets(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(dir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestSupervisorThatDoesNotAnswerHoldsUpNobody(t *testing.T) {
	dir := runtimeDir(t)
	publish(t, Program{PID: 5}, nil)
	l, err := net.Listen("unix", dir+"/9.sock") // accepts by backlog and says nothing, as a stopped process does
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got, err := List(t.Context())
	if len(got) != 1 || got[0].PID != 5 {
		t.Errorf("List = %v, want the program that answers", got)
	}
	silent, ok := errors.AsType[*SilentError](err)
	if !ok || silent.Error() != dir+"/9.sock: no answer within 1s" {
		t.Errorf("List: %v, want a SilentError", err)
	}
	if _, err := os.Lstat(dir + "/9.sock"); err != nil {
		t.Errorf("the socket of a process that is there was removed: %v", err)
	}
}

func TestAnswersOfOtherReleasesAreToldApart(t *testing.T) {
	dir := runtimeDir(t)
	publish(t, Program{}, nil)
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"another version":  {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"version": 2}`)) }, "answer is of version 2, want 1: it comes from another release of quiver"},
		"another question": {http.NotFound, "it does not know the question: it comes from another release of quiver"},
		"no JSON":          {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`moon`)) }, "answer is no program: invalid character 'm'"},
		"busy":             {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "it is answering too many others"},
		"broken":           {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "it answered internal server error"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("unix", dir+"/9.sock")
			if err != nil {
				t.Fatal(err)
			}
			server := http.Server{Handler: tc.handler}
			done := make(chan struct{})
			go func() { server.Serve(l); close(done) }()
			_, err = List(t.Context())
			server.Close()
			<-done
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("List: %v, want %s", err, tc.want)
			}
		})
	}
}
