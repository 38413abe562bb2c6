package plugin

import (
	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/quic"
)

var (
	_ quic.Extensions = (*Host)(nil)
	_ quic.Extender   = (*session)(nil)
)

// Exchange implements quic.Extensions.
func (h *Host) Exchange() (accept, offer bool) { return h.Accept != nil, len(h.Offer) > 0 }

// Extend implements quic.Extensions.
func (h *Host) Extend(c *quic.Conn) ([]quic.Attachment, quic.Extender, error) {
	s := h.newSession(c)
	list, err := s.attachments()
	if err != nil {
		return nil, nil, err
	}
	return list, s, nil
}

// Resume implements quic.Extender.
func (s *session) Resume(offers []hook.Offer) ([]hook.Extension, bool) {
	return s.resume(s.link.Server(), offers)
}

// News implements quic.Extender.
func (s *session) News(n *quic.ExtensionNews) {
	switch n.Kind {
	case quic.ExtensionPeer:
		s.peer(n.Accepts)
	case quic.ExtensionOffered:
		s.offered(n.Offer)
	case quic.ExtensionAnswered:
		s.answered(n.Local, n.Answer)
	case quic.ExtensionContent:
		s.content(n.Local, n.Content)
	case quic.ExtensionActive:
		if n.Resumed {
			s.resumed(&n.Offer)
		}
		s.log.Info("plugin is active", "plugin", offerText(&n.Offer), "resumed", n.Resumed)
	case quic.ExtensionOver:
		s.over(n.Local, n.Why, n.Reason)
	case quic.ExtensionEmitted:
		s.log.Debug("plugin emits", "id", n.ID, "event", n.Event, "bytes", len(n.Content))
		if c, ok := s.link.(*quic.Conn); ok && s.h.OnEmit != nil {
			s.h.OnEmit(c, n.ID, n.Event, n.Content)
		}
	case quic.ExtensionDetached:
		s.log.Info("plugin is detached", "id", n.ID, "why", n.Why, "err", n.Err)
	case quic.ExtensionClosed:
		s.close()
	}
}
