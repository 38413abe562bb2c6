package hook

// CongestionReplacer is how an extension owns congestion control, the operations OpCongestionInit to OpCongestionMTU.
type CongestionReplacer interface {
	// ReplaceCongestion returns the controller of a path. core is the built-in one, which was told everything about the path up to now; after that
	// nobody tells it anything but the returned value, which may pass on what it hears and answer as core does: that is how it defers. When the
	// extension is detached, core goes on alone. A nil result leaves the path to core, for now: it may be asked again. What the result answers
	// is held to bounds, and asked for again in a call of the extension itself it is what it answered last.
	ReplaceCongestion(c CongestionConfig, core Congestion) Congestion
}
