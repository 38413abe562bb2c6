package hook

// Mode says which ends run a plugin, and what its absence means.
type Mode uint8

// The modes of a plugin.
const (
	Local      Mode = iota // one end runs it; it has no frames
	Negotiated             // both ends run it; without the peer's consent nothing happens
	Required               // both ends run it, or the connection ends
)

var modeNames = [...]string{"local", "negotiated", "required"}

// String returns the name that manifests use.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return "unknown mode"
}

// ParseMode finds a mode by its name.
func ParseMode(name string) (Mode, bool) {
	for i, n := range modeNames {
		if n == name {
			return Mode(i), true
		}
	}
	return 0, false
}

// Offer is a plugin that one end of a connection offers to the other.
type Offer struct {
	Local       uint64   // its number on this connection: even if the client offers it, odd if the server does
	Digest      [32]byte // identity of the package
	ID, Version string
	Size        int // bytes of the package
	Packed      int // bytes of its compressed form, which travels
	Mode        Mode
	Frames      int    // frame types that it needs
	TypeBase    uint64 // the first of them on the wire
	Config      []byte // for both halves
}

// AnswerStatus is what the peer says to an offer.
type AnswerStatus uint8

// Answers to an offer.
const (
	AnswerReady   AnswerStatus = iota // the peer has the plugin, and will run it
	AnswerNeed                        // the peer wants to have it sent
	AnswerRefused                     // the peer does not want it
)

// Answer is what the peer says to an offer.
type Answer struct {
	Status AnswerStatus
	Code   uint64 // of a refusal: the program's own; people read Reason
	Reason string // of a refusal, for people
}
