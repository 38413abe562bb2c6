package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/seed51309289/quiver/quic"
)

// link is what a connection does about plugins: some commands of a quic.Conn, which may be given from any goroutine.
type link interface {
	Server() bool
	OfferPlugin(o hook.Offer) (hook.Offer, error)
	AnswerOffer(local uint64, a hook.Answer) error
	ProvideOffer(local uint64, content []byte) error
	ReadyOffer(local uint64, x hook.Extension) error
	DetachOffer(local uint64, why hook.DetachReason, reason string) error
}

var _ link = (*quic.Conn)(nil)

// session is the host's side of the exchange on one connection. Its methods are called one after the other, when the connection has news, and
// never wait: what takes time is done by others, who come back with a command.
type session struct {
	h      *Host
	link   link
	own    purse // of what this end attaches and offers
	theirs purse // of what the peer sent, which leaves some to the others
	log    *slog.Logger
	ctx    context.Context // ends with the connection
	end    context.CancelFunc

	mu    sync.Mutex             // guards the rest
	ours  map[uint64]*Use        // offered, by number; bounded by the connection's offers
	need  map[uint64]*arrival    // content is on its way, paid from the budget; limit: maxTried
	tried int                    // offers that were looked at; limit: maxTried
	since map[uint64]pack.Digest // of plugins that an earlier connection agreed on, by number; bounded by what a session remembers
}

// arrival is content that was asked for.
type arrival struct {
	offer *hook.Offer
	late  *time.Timer // gives up the wait; stopped when all is there
}

// newSession begins.
func (h *Host) newSession(l link) *session {
	ctx, end := context.WithCancel(context.Background())
	s := &session{h: h, link: l, log: h.logger(), ctx: ctx, end: end, ours: map[uint64]*Use{}, need: map[uint64]*arrival{}, since: map[uint64]pack.Digest{}}
	s.own, s.theirs = h.purses()
	return s
}

// attachments makes what every connection has.
func (s *session) attachments() ([]quic.Attachment, error) {
	var list []quic.Attachment
	for i := range s.h.Attach {
		u := &s.h.Attach[i]
		config, err := u.config()
		if err == nil {
			var x hook.Extension
			if x, err = s.extension(u.Plugin); err == nil {
				list = append(list, quic.Attachment{Extension: x, Config: config})
				continue
			}
		}
		for _, a := range list {
			discard(a.Extension)
		}
		return nil, err
	}
	return list, nil
}

// extension makes one of this end's own plugins.
func (s *session) extension(p Plugin) (hook.Extension, error) {
	m, ok := p.(*Module)
	if !ok {
		return p.New()
	}
	return m.newExtension(m.policy.pays(s.own))
}

// discard gives back an extension that was not attached.
func discard(x hook.Extension) {
	if x, ok := x.(*extension); ok && x.i != nil {
		x.drop()
	}
}

// peer says, when the handshake is complete, whether the other end considers offers. Then those of this end are made.
func (s *session) peer(accepts bool) {
	if !accepts {
		return
	}
	for i := range s.h.Offer {
		u := &s.h.Offer[i]
		m, config, err := s.offerable(u)
		if err != nil {
			s.log.Warn("plugin is not offered", "err", err)
			continue
		}
		if s.runs(m.digest) {
			continue
		}
		o, err := s.link.OfferPlugin(hook.Offer{
			Digest: m.digest, ID: m.manifest.ID, Version: m.manifest.Version, Size: len(m.file.Raw), Packed: len(m.packed()),
			Mode: m.manifest.Mode, Frames: len(m.manifest.Frames), Config: config,
		})
		if err != nil {
			s.log.Warn("plugin is not offered", "id", m.manifest.ID, "err", err)
			continue
		}
		s.mu.Lock()
		s.ours[o.Local] = u
		s.mu.Unlock()
	}
}

// resumed notes that a plugin has run since the first packet, as an earlier connection agreed.
func (s *session) resumed(o *hook.Offer) {
	s.mu.Lock()
	s.since[o.Local] = o.Digest
	s.mu.Unlock()
}

// runs reports whether such a plugin is this one, so that it need not be offered.
func (s *session) runs(d pack.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, digest := range s.since {
		if digest == d {
			return true
		}
	}
	return false
}

func (s *session) offerable(u *Use) (*Module, []byte, error) {
	m, ok := u.Plugin.(*Module)
	if !ok {
		return nil, nil, errors.New("plugin: native code cannot be offered")
	}
	config, err := u.config()
	return m, config, err
}

// answered says what the peer answers to an offer. Where both ends run the plugin, this one is ready as soon as the other one agrees: the content
// may still be on its way.
func (s *session) answered(local uint64, a hook.Answer) {
	s.mu.Lock()
	u := s.ours[local]
	if a.Status == hook.AnswerRefused {
		delete(s.ours, local)
	}
	s.mu.Unlock()
	if u == nil {
		return
	}
	m := u.Plugin.(*Module)
	switch a.Status {
	case hook.AnswerRefused:
		s.log.Info("peer refuses plugin", "id", m.manifest.ID, "code", a.Code, "reason", a.Reason)
		return
	case hook.AnswerNeed:
		if err := s.link.ProvideOffer(local, m.packed()); err != nil {
			s.log.Warn("plugin is not sent", "id", m.manifest.ID, "err", err)
			return
		}
	}
	if m.manifest.Mode == hook.Local {
		return
	}
	if err := s.start(local, m, m.policy.pays(s.own)); err != nil {
		s.log.Warn("plugin is not attached", "id", m.manifest.ID, "err", err)
		s.link.DetachOffer(local, hook.DetachFault, sentence(err))
	}
}

// start attaches a plugin of the exchange here.
func (s *session) start(local uint64, m *Module, p purse) error {
	x, err := m.newExtension(p)
	if err != nil {
		return err
	}
	if err := s.link.ReadyOffer(local, x); err != nil {
		discard(x)
		return err
	}
	return nil
}

// sentence is err as a peer is told: what it says of the plugin, never of this machine.
func sentence(err error) string {
	var e *pack.Error
	if errors.As(err, &e) {
		own := *e
		own.File = ""
		return own.Error()
	}
	return err.Error()
}

// offered says that the peer offers a plugin.
func (s *session) offered(o hook.Offer) {
	h := s.h
	if code, why := s.unwanted(&o); code != 0 {
		s.refuse(&o, code, why)
		return
	}
	if !h.loads.queued.take(1, maxQueued) {
		s.refuse(&o, RefuseBusy, "too many plugins are being looked at, try again later")
		return
	}
	h.loads.slots.run(workers(), func() {
		defer h.loads.queued.give(1)
		s.consider(&o)
	})
}

// unwanted says why an offer is refused at first sight; 0 = it is not.
func (s *session) unwanted(o *hook.Offer) (code uint64, why string) {
	h := s.h
	if h.Accept == nil {
		return RefuseOff, "no plugin of a peer is wanted here"
	}
	p := h.accept()
	s.mu.Lock()
	s.tried++
	tried := s.tried
	s.mu.Unlock()
	limit := orDefault(p.MaxSize, pack.MaxSize)
	r, err := h.runtime()
	switch {
	case err != nil:
		return RefuseOff, "plugins cannot run here"
	case tried > maxTried:
		return RefuseBusy, fmt.Sprintf("%d plugins of this connection were looked at", maxTried)
	case o.Size > limit:
		return RefuseSize, fmt.Sprintf("has %d bytes, at most %d are taken", o.Size, limit)
	case o.Packed > pack.MaxPacked:
		return RefuseSize, fmt.Sprintf("has %d bytes when it is packed, at most %d are taken", o.Packed, pack.MaxPacked)
	case r.failed(o.Digest):
		return RefuseFaults, fmt.Sprintf("failed %d times: %v", MaxFaults, ErrQuarantined)
	case len(p.Trust.Keys) == 0 && !pinned(p.Trust, o.Digest):
		return RefuseTrust, "nobody who signs plugins is trusted here, and this one is not pinned"
	}
	return 0, ""
}

func pinned(t *pack.Trust, d pack.Digest) bool {
	for i := range t.Pins {
		if t.Pins[i].Digest == d {
			return true
		}
	}
	return false
}

func (s *session) refuse(o *hook.Offer, code uint64, why string) {
	s.log.Info("plugin refused", "plugin", offerText(o), "reason", why)
	s.link.AnswerOffer(o.Local, hook.Answer{Status: hook.AnswerRefused, Code: code, Reason: why})
}

// consider looks for what was offered in memory and on disk, and asks for it if it is in neither.
func (s *session) consider(o *hook.Offer) {
	h := s.h
	r, err := h.runtime()
	if err != nil || s.ctx.Err() != nil {
		return
	}
	if m := h.local(s.ctx, r, o.Digest); m != nil {
		defer m.Close()
		if err := m.fits(o, s.link.Server()); err != nil {
			s.refuse(o, RefusePackage, sentence(err))
			return
		}
		if s.link.AnswerOffer(o.Local, hook.Answer{Status: hook.AnswerReady}) == nil {
			s.runTheirs(o, m)
		}
		return
	}
	if !h.loads.pending.take(o.Packed, maxPending) {
		s.refuse(o, RefuseBusy, "too many plugins are on their way, try again later")
		return
	}
	s.mu.Lock()
	over := s.ctx.Err() != nil
	if !over {
		s.need[o.Local] = &arrival{o, time.AfterFunc(h.loads.patience(), func() { s.late(o) })}
	}
	s.mu.Unlock()
	if over {
		h.loads.pending.give(o.Packed)
		return
	}
	if err := s.link.AnswerOffer(o.Local, hook.Answer{Status: hook.AnswerNeed}); err != nil {
		s.give(o.Local)
	}
}

// give ends the wait for content, gives back its budget, and reports whether there was one.
func (s *session) give(local uint64) bool {
	s.mu.Lock()
	a := s.need[local]
	delete(s.need, local)
	s.mu.Unlock()
	if a == nil {
		return false
	}
	a.late.Stop()
	s.h.loads.pending.give(a.offer.Packed)
	return true
}

// late refuses a plugin whose content did not come: what is kept free for it is kept from others.
func (s *session) late(o *hook.Offer) {
	if s.give(o.Local) {
		s.refuse(o, RefuseBusy, fmt.Sprintf("its content did not come within %v", s.h.loads.patience()))
	}
}

// content takes a plugin that was asked for.
func (s *session) content(local uint64, packed []byte) {
	s.mu.Lock()
	a := s.need[local]
	s.mu.Unlock()
	if a == nil || !a.late.Stop() {
		return
	}
	o := a.offer
	if !s.h.loads.queued.take(1, maxQueued) {
		s.give(local)
		s.refuse(o, RefuseBusy, "too many plugins are being looked at, try again later")
		return
	}
	s.h.loads.slots.run(workers(), func() {
		defer s.h.loads.queued.give(1)
		defer s.give(local)
		s.take(o, packed)
	})
}

// take verifies, compiles and runs what came.
func (s *session) take(o *hook.Offer, packed []byte) {
	if s.ctx.Err() != nil {
		return
	}
	m, code, err := s.h.receive(s.ctx, o, packed)
	if err == nil {
		defer m.Close()
		code, err = RefusePackage, m.fits(o, s.link.Server())
	}
	if err != nil {
		s.refuse(o, code, sentence(err))
		return
	}
	if s.h.Cache != nil {
		if _, err := s.h.Cache.Put(m.file.Raw); err != nil {
			s.log.Warn("plugin is not kept", "plugin", offerText(o), "err", err)
		}
	}
	s.runTheirs(o, m)
}

// receive makes a module of what came. Trust is asked before anything is compiled.
func (h *Host) receive(ctx context.Context, o *hook.Offer, packed []byte) (*Module, uint64, error) {
	p := h.accept()
	raw, err := pack.Unpack(packed, o.Size, orDefault(p.MaxSize, pack.MaxSize))
	if err != nil {
		return nil, RefusePackage, err
	}
	k, err := pack.Read("", raw, p.MaxSize)
	if err != nil {
		return nil, RefusePackage, err
	}
	if k.Digest != o.Digest {
		return nil, RefusePackage, fmt.Errorf("what came has the digest %v, %x was offered", k.Digest, o.Digest)
	}
	if _, err := p.judge(k); err != nil {
		return nil, RefuseTrust, err
	}
	r, err := h.runtime()
	if err != nil {
		return nil, RefuseOff, errors.New("plugins cannot run here")
	}
	m, err := r.LoadPackage(ctx, k, p)
	return m, RefusePackage, err
}

// fits compares an offer with the package: what the peer said of it must be true, and its settings must be settings.
func (m *Module) fits(o *hook.Offer, server bool) error {
	f := m.manifest
	for _, c := range []struct {
		field     string
		got, want any
	}{
		{"id", o.ID, f.ID}, {"version", o.Version, f.Version}, {"mode", o.Mode, f.Mode}, {"frames", o.Frames, len(f.Frames)},
	} {
		if c.got != c.want {
			return refuse("", c.field, "the offer says %v, the package %v", c.got, c.want)
		}
	}
	if !f.Roles.Has(server) {
		return refuse("", "roles", "the plugin is not for this end of a connection")
	}
	return f.CheckConfig(o.Config)
}

// runTheirs attaches a plugin of the peer.
func (s *session) runTheirs(o *hook.Offer, m *Module) {
	err := s.start(o.Local, m, m.policy.pays(s.theirs))
	switch {
	case errors.Is(err, ErrQuarantined):
		s.refuse(o, RefuseFaults, sentence(err))
	case err != nil:
		s.refuse(o, RefuseConflict, sentence(err))
	default:
		s.log.Info("plugin of the peer runs", "plugin", offerText(o), "by", m.grant.By)
	}
}

// over says that a plugin of the exchange is.
func (s *session) over(local uint64, why hook.DetachReason, reason string) {
	s.give(local)
	s.mu.Lock()
	delete(s.ours, local)
	delete(s.since, local)
	s.mu.Unlock()
	s.log.Info("plugin is over", "number", local, "why", why, "reason", reason)
}

// close ends the session with its connection.
func (s *session) close() {
	s.end()
	s.mu.Lock()
	var waiting []uint64
	for local := range s.need {
		waiting = append(waiting, local)
	}
	s.mu.Unlock()
	for _, local := range waiting {
		s.give(local)
	}
}

// resume returns what runs the plugins that an earlier connection agreed on. It does not wait, so it knows only what is in memory: without that
// the connection begins as one that never met the peer.
func (s *session) resume(server bool, offers []hook.Offer) ([]hook.Extension, bool) {
	var list []hook.Extension
	for i := range offers {
		x := s.again(server, &offers[i])
		if x == nil {
			for _, x := range list {
				discard(x)
			}
			return nil, false
		}
		list = append(list, x)
	}
	return list, true
}

// again returns what runs one of them, or nil.
func (s *session) again(server bool, o *hook.Offer) hook.Extension {
	h := s.h
	ours := o.Local&1 == 1 == server
	if ours {
		for i := range h.Offer {
			m, ok := h.Offer[i].Plugin.(*Module)
			if config, err := h.Offer[i].config(); err != nil || !bytes.Equal(config, o.Config) {
				continue // it is to run with other settings now
			}
			if ok && m.digest == o.Digest && m.fits(o, server) == nil {
				return extensionOrNil(m.newExtension(m.policy.pays(s.own)))
			}
		}
		return nil
	}
	if h.Accept == nil {
		return nil
	}
	r, err := h.runtime()
	if err != nil {
		return nil
	}
	m, err := r.recall(o.Digest, h.accept())
	if m == nil || err != nil {
		return nil
	}
	defer m.Close()
	if m.fits(o, server) != nil {
		return nil
	}
	return extensionOrNil(m.newExtension(m.policy.pays(s.theirs)))
}

func extensionOrNil(x *extension, err error) hook.Extension {
	if err != nil {
		return nil
	}
	return x
}
