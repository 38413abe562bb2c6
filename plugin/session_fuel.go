package plugin

// purses make the one bucket of a connection. Where the policies of its plugins differ, the strictest rules. Of a peer's plugins it keeps half of
// the burst away if there are others: these could else be made to fail, and a plugin that fails three times is not run any more.
func (h *Host) purses() (own, theirs purse) {
	var b *bucket
	for _, list := range [][]Use{h.Attach, h.Offer} {
		for i := range list {
			if m, ok := list[i].Plugin.(*Module); ok {
				b = b.strictest(m.policy.newBucket())
			}
		}
	}
	guests := b != nil
	if h.Accept != nil {
		b = b.strictest(h.Accept.newBucket())
	}
	own, theirs = purse{bucket: b}, purse{bucket: b}
	if guests {
		theirs.leave = b.burst / 2
	}
	return own, theirs
}

// strictest returns a full bucket with the smaller numbers of two; nil is no limit.
func (b *bucket) strictest(o *bucket) *bucket {
	switch {
	case b == nil:
		return o
	case o == nil:
		return b
	}
	return newBucket(min(b.rate, o.rate), min(b.burst, o.burst), min(b.perPacket, o.perPacket))
}

// pays returns what a plugin under this policy pays from.
func (p *Policy) pays(shared purse) purse {
	if p.FuelRate < 0 {
		return purse{}
	}
	return shared
}
