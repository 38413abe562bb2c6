package plugin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	goruntime "runtime"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin/cache"
	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/seed51309289/quiver/quic"
)

// A Use is a plugin with its settings.
type Use struct {
	Plugin   Plugin
	Settings map[string]string // of a *Module, by the names of its manifest; what is missing has its default
	Config   []byte            // of native code, as its Attach gets it
}

// A Host says which plugins the connections of a program have: its own, those that it offers to peers, and those that it takes from them. One
// host, as quic.Config.Extensions, may serve any number of connections; it must not be changed once the first has begun.
//
// The zero value runs nothing: code of a peer in particular runs only if Accept says so.
type Host struct {
	// Runtime runs plugins. nil = the one that all of a process shares, which compiles anew in each process: one that keeps compiled code has
	// Cache.Compiled() for its RuntimeConfig.CacheDir.
	Runtime *Runtime
	// Attach are attached to every connection when it begins. They are for one end: their mode is local, or the other end attaches them too.
	Attach []Use
	// Offer are offered to each peer after the handshake. All are a *Module.
	Offer []Use
	// Accept says which plugins of a peer may run here. nil = none. Its Remote is taken for true, and without Trust it trusts nobody.
	Accept *Policy
	// Cache keeps what peers sent, from one connection to the next. nil = memory only.
	Cache *cache.Cache
	// Logger is told what becomes of plugins. nil = nobody is.
	Logger *slog.Logger
	// OnEmit is told what plugins have for the application, by the connection's goroutines: it must not take long. payload is its own to keep.
	OnEmit func(c *quic.Conn, id string, event uint32, payload []byte)

	loads loads
}

// Refusal codes that this host uses. They are for programs; people read the reason.
const (
	RefuseOff      = 1 // no plugin of a peer is wanted
	RefuseBusy     = 2 // not now: too many others are being looked at
	RefuseSize     = 3 // too large
	RefuseTrust    = 4 // trust says no
	RefusePackage  = 5 // what came is not what was offered, or no plugin for this host
	RefuseConflict = 6 // it does not go with what is attached
	RefuseFaults   = 7 // it failed too often
)

// Work on plugins of peers, of a whole host.
const (
	maxPending = 8 << 20 // limit: bytes of packages on their way, of all connections; what peers may make the host hold
	maxQueued  = 64      // limit: plugins that wait to be looked at, of all connections
	maxTried   = 16      // limit: offers of one connection that are looked at; the rest is refused

	// maxWait is how long the content of a plugin may take. 64 KiB come in that time over 20 kbit/s.
	maxWait = 30 * time.Second // limit: how long a peer can keep a part of maxPending from others by sending nothing
)

func (h *Host) runtime() (*Runtime, error) {
	if h.Runtime != nil {
		return h.Runtime, nil
	}
	return defaultRuntime()
}

func (h *Host) logger() *slog.Logger {
	if h.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return h.Logger
}

// accept is the policy for plugins of peers.
func (h *Host) accept() Policy {
	p := *h.Accept
	p.Remote = true
	if p.Trust == nil {
		p.Trust = &pack.Trust{}
	}
	return p
}

// config returns what an extension of u is configured with.
func (u *Use) config() ([]byte, error) {
	if m, ok := u.Plugin.(*Module); ok {
		return m.manifest.Configure(u.Settings)
	}
	return u.Config, nil
}

// Check says what is wrong with the host, before a connection finds out: settings that a plugin does not have, offers that cannot be made,
// plugins that do not go together.
func (h *Host) Check() error {
	var set []*pack.Manifest
	for i := range h.Attach {
		if m, ok := h.Attach[i].Plugin.(*Module); ok {
			set = append(set, m.manifest)
		}
		if _, err := h.Attach[i].config(); err != nil {
			return err
		}
	}
	for i := range h.Offer {
		m, ok := h.Offer[i].Plugin.(*Module)
		if !ok {
			return errors.New("plugin: native code cannot be offered: the peer could not run it")
		}
		if m.manifest.Mode != hook.Local {
			set = append(set, m.manifest)
		}
		if _, err := h.Offer[i].config(); err != nil {
			return err
		}
		if n := len(m.packed()); n > pack.MaxPacked {
			return refuse(m.file.File, "", "has %d bytes when it is packed, at most %d can be sent", n, pack.MaxPacked)
		}
	}
	return pack.CheckSet(set)
}

// Warm loads what the cache has and the policy accepts, so that connections can take up again at once what an earlier process agreed on. It
// returns how many plugins are ready.
func (h *Host) Warm(ctx context.Context) (int, error) {
	if h.Cache == nil || h.Accept == nil {
		return 0, nil
	}
	r, err := h.runtime()
	if err != nil {
		return 0, err
	}
	entries, err := h.Cache.List()
	if err != nil {
		return 0, err
	}
	n := 0
	for _, e := range entries[:min(len(entries), maxModules)] {
		k, err := h.Cache.Get(e.Digest)
		if err != nil {
			continue // removed meanwhile
		}
		m, err := r.LoadPackage(ctx, k, h.accept())
		if err != nil {
			h.logger().Info("plugin in the cache is not accepted", "err", err)
			continue
		}
		m.Close()
		n++
	}
	return n, ctx.Err()
}

// packed returns the form in which the module travels.
func (m *Module) packed() []byte {
	m.pack.Do(func() { m.travels = pack.Pack(m.file.Raw) })
	return m.travels
}

// loads bounds the work on plugins of peers.
type loads struct {
	slots   slots
	pending budget        // bytes
	queued  budget        // jobs
	wait    time.Duration // for content; 0 = maxWait
}

// patience is how long content may take that was asked for.
func (l *loads) patience() time.Duration {
	if l.wait == 0 {
		return maxWait
	}
	return l.wait
}

// workers is how many plugins of peers are looked at and compiled at once: the rest of the program goes on.
func workers() int { return max(1, goruntime.GOMAXPROCS(0)/2) }

// local loads what is in memory, or on disk, if it is trusted as it is there; nil = it is not. The peer's copy may have other signatures.
func (h *Host) local(ctx context.Context, r *Runtime, d pack.Digest) *Module {
	p := h.accept()
	if m, err := r.recall(d, p); err == nil && m != nil {
		return m
	}
	if h.Cache == nil {
		return nil
	}
	k, err := h.Cache.Get(d)
	if err != nil {
		return nil
	}
	m, err := r.LoadPackage(ctx, k, p)
	if err != nil {
		return nil
	}
	return m
}

// recall returns a plugin that is compiled already, without waiting. nil, nil: it is not.
func (r *Runtime) recall(d pack.Digest, p Policy) (*Module, error) {
	c := r.find(d)
	if c == nil {
		return nil, nil
	}
	grant, err := p.judge(c.file)
	if err != nil {
		r.release(c)
		return nil, err
	}
	return &Module{code: c, policy: p, grant: grant, file: c.file}, nil
}

// failed reports whether a plugin is quarantined.
func (r *Runtime) failed(d pack.Digest) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := r.records[d]
	return ok && k.quarantined()
}

func offerText(o *hook.Offer) string { return fmt.Sprintf("%s %s (%x)", o.ID, o.Version, o.Digest[:8]) }
