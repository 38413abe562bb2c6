package doctor

// A State is what became of the attempt to find something.
type State string

// States. The zero State is Untried.
const (
	Untried State = ""
	There   State = "there"
	Missing State = "missing"
)

// A Need says what cannot be without a fact.
type Need string

// Needs. The zero Need is that of comfort: without it something is slower, or
// seen less well.
const (
	Comfort Need = ""
	ByAll   Need = "all"  // every run
	ByRoot  Need = "root" // runs with the privileges of root
	ByUser  Need = "user" // runs in a user namespace
)

// A Fact is one thing that a run uses. Texts are for people: without a full stop,
// and in lower case but for names.
type Fact struct {
	Name  string `json:"name"`            // a word, the same for ever: "user-namespace"
	What  string `json:"what"`            // what it is for
	Since string `json:"since,omitempty"` // the first Linux that has it, "" if that does not matter
	Need  Need   `json:"need,omitempty"`
	State State  `json:"state,omitempty"`
	Found string `json:"found,omitempty"` // what was found; where it is missing or untried, why
	Hint  string `json:"hint,omitempty"`  // what to do where it is missing
}

// there and missing complete a fact.
func (f Fact) there(found string) Fact {
	f.State, f.Found, f.Hint = There, found, ""
	return f
}

func (f Fact) missing(found, hint string) Fact {
	f.State, f.Found, f.Hint = Missing, found, hint
	return f
}

// tried completes a fact by the error of trying it.
func (f Fact) tried(err error) Fact {
	if err != nil {
		return f.missing(err.Error(), f.Hint)
	}
	return f.there("")
}

// lacking returns the facts of one need that are missing. What was not tried
// counts as there.
func lacking(facts []Fact, need Need) []Fact {
	var out []Fact
	for _, f := range facts {
		if f.Need == need && f.State == Missing {
			out = append(out, f)
		}
	}
	return out
}
