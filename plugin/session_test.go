package plugin

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin/cache"
	"github.com/seed51309289/quiver/plugin/pack"
)

// wire joins two sessions as a connection would: what one end commands is news at the other. News come from one goroutine for each end.
type wire struct {
	t    *testing.T
	ends [2]*wireEnd
	all  sync.WaitGroup
	over chan struct{}
}

type wireEnd struct {
	w      *wire
	server bool
	other  *wireEnd
	s      *session
	news   chan func(*session)

	mu       sync.Mutex
	next     uint64
	offers   map[uint64]hook.Offer
	attached map[string]hook.Extension
	refuse   error // what Attach says
	story    []string
}

func join(t *testing.T, client, server *Host) *wire {
	t.Helper()
	w := &wire{t: t, over: make(chan struct{})}
	for i, h := range []*Host{client, server} {
		w.ends[i] = &wireEnd{w: w, server: i == 1, next: uint64(i), news: make(chan func(*session), 1000), offers: map[uint64]hook.Offer{}, attached: map[string]hook.Extension{}}
		_ = h
	}
	w.ends[0].other, w.ends[1].other = w.ends[1], w.ends[0]
	for i, h := range []*Host{client, server} {
		e := w.ends[i]
		s := h.newSession(e)
		e.s = s
		list, err := s.attachments()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range list {
			if err := e.Attach(a.Extension, a.Config); err != nil {
				t.Fatal(err)
			}
		}
		w.all.Go(func() {
			for {
				select {
				case f := <-e.news:
					f(s)
				case <-w.over:
					return
				}
			}
		})
	}
	t.Cleanup(func() {
		for _, e := range w.ends {
			e.s.close()
		}
		close(w.over)
		w.all.Wait()
	})
	return w
}

func (w *wire) begin() {
	for _, e := range w.ends {
		accepts := e.other.s.h.Accept != nil
		e.send(func(s *session) { s.peer(accepts) })
	}
}

func (e *wireEnd) send(f func(*session)) {
	select {
	case e.news <- f:
	case <-e.w.over:
	}
}

func (e *wireEnd) tell(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.story = append(e.story, fmt.Sprintf(format, args...))
}

// wait waits until the end has told a line that begins so, and returns it.
func (e *wireEnd) wait(line string) string {
	e.w.t.Helper()
	var found string
	eventually(e.w.t, func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, s := range e.story {
			if strings.HasPrefix(s, line) {
				found = s
				return true
			}
		}
		return false
	})
	return found
}

// told returns how many lines that begin so the end has told.
func (e *wireEnd) told(line string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.story {
		if strings.HasPrefix(s, line) {
			n++
		}
	}
	return n
}

func (e *wireEnd) Server() bool { return e.server }

func (e *wireEnd) Attach(x hook.Extension, config []byte) error {
	if e.refuse != nil {
		return e.refuse
	}
	if err := x.Attach(&trialConn{}, &hook.AttachState{Now: 1, Server: e.server, Config: config}); err != nil {
		return err
	}
	e.mu.Lock()
	e.attached[x.Info().ID] = x
	e.mu.Unlock()
	e.tell("attached %s %x", x.Info().ID, config)
	return nil
}

func (e *wireEnd) OfferPlugin(o hook.Offer) (hook.Offer, error) {
	e.mu.Lock()
	o.Local = e.next
	e.next += 2
	e.offers[o.Local] = o
	e.mu.Unlock()
	e.other.mu.Lock()
	e.other.offers[o.Local] = o
	e.other.mu.Unlock()
	e.other.send(func(s *session) { s.offered(o) })
	return o, nil
}

func (e *wireEnd) AnswerOffer(local uint64, a hook.Answer) error {
	e.tell("answered %d %d %s", a.Status, a.Code, a.Reason)
	e.other.send(func(s *session) { s.answered(local, a) })
	return nil
}

func (e *wireEnd) ProvideOffer(local uint64, content []byte) error {
	e.tell("provided %d bytes", len(content))
	content = bytes.Clone(content)
	e.other.send(func(s *session) { s.content(local, content) })
	return nil
}

func (e *wireEnd) ReadyOffer(local uint64, x hook.Extension) error {
	e.mu.Lock()
	o, ok := e.offers[local]
	e.mu.Unlock()
	if !ok {
		return errors.New("no such plugin")
	}
	if err := e.Attach(x, o.Config); err != nil {
		return err
	}
	e.tell("ready %d", local)
	return nil
}

func (e *wireEnd) DetachOffer(local uint64, why hook.DetachReason, reason string) error {
	e.tell("detached %d %v %s", local, why, reason)
	e.other.send(func(s *session) { s.over(local, why, reason) })
	return nil
}

// eventually waits for what other goroutines bring about.
func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for range 2000 {
		if done() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("it never came about")
}

// signed is a plugin that is shipped, signed by a key that trust trusts.
func signed(t *testing.T, name string) (file []byte, trust *pack.Trust) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "plugins", name, name+".wasm"))
	if err != nil {
		t.Skip(err)
	}
	key, err := pack.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{7}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = pack.Sign(b, key, ""); err != nil {
		t.Fatal(err)
	}
	k, err := pack.Read(name, b, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := pack.Ceiling{Payload: true}
	for _, p := range hook.Permissions() {
		all.Permissions |= p
	}
	return b, &pack.Trust{Keys: []pack.TrustedKey{{Name: "author", Key: k.Signatures[0].Key, IDs: []string{"*"}, Ceiling: all}}}
}

// a fresh runtime for each end: they are two processes.
func process(t *testing.T) *Runtime {
	t.Helper()
	r, err := NewRuntime(RuntimeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func offering(t *testing.T, file []byte) *Host {
	t.Helper()
	h := &Host{Runtime: process(t)}
	m, err := h.Runtime.Load(t.Context(), "offered.wasm", file, Policy{})
	if err != nil {
		t.Fatal(err)
	}
	h.Offer = []Use{{Plugin: m}}
	if err := h.Check(); err != nil {
		t.Fatal(err)
	}
	return h
}

const offered = "telemetry"

func TestAPluginTravelsIsCheckedAndRuns(t *testing.T) {
	file, trust := signed(t, offered)
	dir := t.TempDir()
	kept, err := cache.Open(dir, cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := offering(t, file)
	var log bytes.Buffer
	client := &Host{Runtime: process(t), Accept: &Policy{Trust: trust}, Cache: kept, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	w := join(t, client, server)
	w.begin()
	w.ends[0].wait("answered 1")
	w.ends[1].wait("provided")
	w.ends[0].wait("attached")
	w.ends[0].wait("ready 1")

	// Another connection of the same process has it in memory, one of another process on disk.
	for _, again := range []*Host{client, {Runtime: process(t), Accept: client.Accept, Cache: kept}} {
		w := join(t, again, server)
		w.begin()
		w.ends[0].wait("answered 0")
		w.ends[0].wait("ready 1")
	}

	// A third process warms up, and takes it up again at once.
	third := &Host{Runtime: process(t), Accept: client.Accept, Cache: kept}
	offer := w.ends[0].offers[1]
	if _, ok := third.newSession(nil).resume(false, []hook.Offer{offer}); ok {
		t.Error("what is not in memory was taken up again at once")
	}
	if n, err := third.Warm(t.Context()); n != 1 || err != nil {
		t.Fatalf("Warm = %d, %v", n, err)
	}
	list, ok := third.newSession(nil).resume(false, []hook.Offer{offer})
	if !ok || len(list) != 1 {
		t.Fatal("what is in memory was not taken up again")
	}
	discard(list[0])
	if list, ok := server.newSession(nil).resume(true, []hook.Offer{offer}); !ok {
		t.Error("the end that offers it does not take it up again")
	} else {
		discard(list[0])
	}
	offer.Digest[0]++
	if _, ok := third.newSession(nil).resume(false, []hook.Offer{offer}); ok {
		t.Error("another plugin was taken up again")
	}
}

func TestOffersAreRefusedWithASentence(t *testing.T) {
	file, trust := signed(t, offered)
	unsigned, err := os.ReadFile(filepath.Join("..", "plugins", offered, offered+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	scoped := *trust
	scoped.Keys = []pack.TrustedKey{trust.Keys[0]}
	scoped.Keys[0].IDs = []string{"org.example.*"}
	for _, tc := range []struct {
		name   string
		file   []byte
		accept *Policy
		lie    func(o *hook.Offer)
		code   uint64
		says   string
	}{
		{"a policy that trusts nobody", file, &Policy{}, nil, RefuseTrust, "nobody who signs plugins is trusted"},
		{"an unsigned plugin", unsigned, &Policy{Trust: trust}, nil, RefuseTrust, "is unsigned"},
		{"a plugin out of scope", file, &Policy{Trust: &scoped}, nil, RefuseTrust, "who is trusted with org.example.* only"},
		{"a plugin that is too large", file, &Policy{Trust: trust, MaxSize: 100}, nil, RefuseSize, "at most 100 are taken"},
		{"another plugin than was offered", file, &Policy{Trust: trust}, func(o *hook.Offer) { o.Digest[0]++ }, RefusePackage, "was offered"},
		{"another size than was offered", file, &Policy{Trust: trust}, func(o *hook.Offer) { o.Size-- }, RefusePackage, "holds more"},
		{"another id than was offered", file, &Policy{Trust: trust}, func(o *hook.Offer) { o.ID = "org.example.other" }, RefusePackage, "id: the offer says org.example.other"},
		{"another mode than was offered", file, &Policy{Trust: trust}, func(o *hook.Offer) { o.Mode = hook.Required }, RefusePackage, "mode: the offer says required"},
		{"settings that are none", file, &Policy{Trust: trust}, func(o *hook.Offer) { o.Config = make([]byte, 99) }, RefusePackage, "config"},
		{"a size that unpacks to anything", file, &Policy{Trust: trust, MaxSize: 1 << 30}, func(o *hook.Offer) { o.Size = 1 << 29 }, RefusePackage, "16-fold"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := offering(t, tc.file)
			w := join(t, &Host{Runtime: process(t), Accept: tc.accept}, server)
			e := w.ends[1]
			m := server.Offer[0].Plugin.(*Module)
			config, _ := m.manifest.Configure(nil)
			o := hook.Offer{Digest: m.digest, ID: m.manifest.ID, Version: m.manifest.Version, Mode: m.manifest.Mode, Frames: len(m.manifest.Frames),
				Size: len(m.file.Raw), Packed: len(m.packed()), Config: config}
			if tc.lie != nil {
				tc.lie(&o)
			}
			e.s.mu.Lock()
			e.s.ours[1] = &server.Offer[0]
			e.s.mu.Unlock()
			e.OfferPlugin(o)
			got := w.ends[0].wait("answered 2")
			if want := fmt.Sprintf("answered 2 %d ", tc.code); !strings.HasPrefix(got, want) || !strings.Contains(got, tc.says) || strings.Contains(got, "\n") {
				t.Errorf("%q, want %q and %q in one line", got, want, tc.says)
			}
		})
	}
}

// TestWhatIsInMemoryIsJudgedAsWhatComes: a plugin that this end loaded by hand, and so granted everything, is no more trusted if a peer offers it.
func TestWhatIsInMemoryIsJudgedAsWhatComes(t *testing.T) {
	file, trust := signed(t, offered)
	scoped := *trust
	scoped.Keys = []pack.TrustedKey{trust.Keys[0]}
	scoped.Keys[0].IDs = []string{"org.example.*"}
	gone := *trust
	gone.Keys = []pack.TrustedKey{trust.Keys[0]}
	gone.Keys[0].Expires = time.Unix(1, 0)
	bare := *trust
	bare.Keys = []pack.TrustedKey{trust.Keys[0]}
	bare.Keys[0].Ceiling = pack.Ceiling{}
	for name, p := range map[string]*Policy{
		"scope": {Trust: &scoped}, "expiry": {Trust: &gone}, "ceiling": {Trust: &bare}, "memory": {Trust: trust, MaxPages: 1}, "size": {Trust: trust, MaxSize: 100},
	} {
		t.Run(name, func(t *testing.T) {
			h := offering(t, file) // it has the module in use
			h.Accept = p
			m := h.Offer[0].Plugin.(*Module)
			config, _ := m.manifest.Configure(nil)
			o := hook.Offer{Digest: m.digest, ID: m.manifest.ID, Version: m.manifest.Version, Mode: m.manifest.Mode, Frames: len(m.manifest.Frames),
				Size: 100, Packed: 100, Config: config, Local: 1}
			if got := h.local(t.Context(), h.Runtime, o.Digest); got != nil {
				t.Error("it would run at once")
			}
			if list, ok := h.newSession(nil).resume(false, []hook.Offer{o}); ok {
				discard(list[0])
				t.Error("it is taken up again")
			}
		})
	}
}

func TestRemoteCodeIsOffUnlessAPolicySaysOtherwise(t *testing.T) {
	file, _ := signed(t, offered)
	server := offering(t, file)
	w := join(t, &Host{}, server)
	w.begin() // the server hears that the client considers nothing
	w.ends[1].OfferPlugin(hook.Offer{Digest: server.Offer[0].Plugin.(*Module).digest})
	if got := w.ends[0].wait("answered"); !strings.HasPrefix(got, fmt.Sprintf("answered 2 %d ", RefuseOff)) {
		t.Errorf("%q, want a refusal", got)
	}
}

func TestFloodsOfOffersAreBounded(t *testing.T) {
	_, trust := signed(t, offered)
	h := &Host{Runtime: process(t), Accept: &Policy{Trust: trust}}
	block, blocked := make(chan struct{}), make(chan struct{})
	for range workers() {
		h.loads.slots.run(workers(), func() { blocked <- struct{}{}; <-block })
		<-blocked
	}
	var all []*wire
	for i := range maxQueued/maxTried + 2 {
		w := join(t, h, &Host{})
		all = append(all, w)
		eventually(t, func() bool { return h.loads.queued.now() == min(i*maxTried, maxQueued) })
		for n := range maxTried {
			w.ends[1].OfferPlugin(hook.Offer{Digest: pack.Digest{byte(n)}, ID: "org.example.flood", Size: pack.MaxSize, Packed: pack.MaxPacked})
		}
	}
	for _, w := range all[maxQueued/maxTried:] {
		if got := w.ends[0].wait("answered 2"); !strings.Contains(got, "too many plugins are being looked at") {
			t.Errorf("%q, want a refusal", got)
		}
		eventually(t, func() bool { return w.ends[0].told("answered 2") == maxTried }) // before there is room again
	}
	close(block)
	all[0].ends[0].wait("answered 1") // asked for: its bytes are on the budget
	all[0].ends[1].OfferPlugin(hook.Offer{ID: "org.example.more"})
	all[0].ends[0].wait(fmt.Sprintf("answered 2 %d %d plugins of this connection were looked at", RefuseBusy, maxTried))
	eventually(t, func() bool { return h.loads.queued.now() == 0 })
	if !h.loads.pending.take(maxPending-maxQueued*pack.MaxPacked, maxPending) {
		t.Error("more is pending than was asked for")
	}
	if h.loads.pending.take(maxPending, maxPending) {
		t.Error("more than maxPending may be on its way")
	}
}

func TestAPluginThatDoesNotGoWithOthersIsRefused(t *testing.T) {
	file, trust := signed(t, offered)
	w := join(t, &Host{Runtime: process(t), Accept: &Policy{Trust: trust}}, offering(t, file))
	w.ends[0].refuse = errors.New("extension x: hooks: cc_ack belongs to y")
	w.begin()
	if got := w.ends[0].wait("answered 2"); !strings.HasPrefix(got, fmt.Sprintf("answered 2 %d ", RefuseConflict)) {
		t.Errorf("%q, want a refusal", got)
	}
}

func TestAConnectionThatEndsGivesItsBudgetBack(t *testing.T) {
	_, trust := signed(t, offered)
	h := &Host{Runtime: process(t), Accept: &Policy{Trust: trust}}
	w := join(t, h, &Host{})
	for n := range 4 {
		w.ends[1].OfferPlugin(hook.Offer{Digest: pack.Digest{byte(n)}, Size: 10, Packed: 1000})
	}
	eventually(t, func() bool { return h.loads.pending.now() == 4000 })
	w.ends[0].s.over(1, hook.DetachPeer, "")
	w.ends[0].s.close()
	if !h.loads.pending.take(maxPending, maxPending) {
		t.Errorf("%d bytes are still pending", h.loads.pending.taken)
	}
}

// TestAPeerThatSendsNothingLosesItsPlace: else a few idle connections could keep everybody's plugins out.
func TestAPeerThatSendsNothingLosesItsPlace(t *testing.T) {
	_, trust := signed(t, offered)
	h := &Host{Runtime: process(t), Accept: &Policy{Trust: trust}}
	h.loads.wait = maxWait / 10_000
	w := join(t, h, &Host{})
	for n := range 4 {
		w.ends[1].OfferPlugin(hook.Offer{Digest: pack.Digest{byte(n)}, Size: 10, Packed: 1000})
	}
	w.ends[0].wait("answered 1")
	if got := w.ends[0].wait("answered 2"); !strings.Contains(got, "did not come within 3ms") {
		t.Errorf("%q, want a refusal", got)
	}
	eventually(t, func() bool { return h.loads.pending.now() == 0 && h.loads.queued.now() == 0 })
	w.ends[0].s.content(1, make([]byte, 1000)) // too late: nobody waits for it
	if n := h.loads.queued.now(); n != 0 {
		t.Errorf("%d plugins are being looked at", n)
	}
}

func TestNativePluginsComeThroughTheSameDoor(t *testing.T) {
	made := 0
	h := &Host{Attach: []Use{{Plugin: Native(func() hook.Extension { made++; return &goExtension{} }), Config: []byte{1, 2}}}}
	if err := h.Check(); err != nil {
		t.Fatal(err)
	}
	w := join(t, h, &Host{})
	if got := w.ends[0].wait("attached"); got != "attached org.example.native 0102" || made != 1 {
		t.Errorf("%q, made %d times", got, made)
	}
	if err := (&Host{Offer: h.Attach}).Check(); err == nil {
		t.Error("native code may be offered")
	}
}

type goExtension struct{}

func (*goExtension) Info() *hook.Info                          { return &hook.Info{ID: "org.example.native", Version: "1.0.0"} }
func (*goExtension) Attach(hook.Conn, *hook.AttachState) error { return nil }
func (*goExtension) Detach(hook.DetachReason)                  {}
