package pack

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/seed51309289/quiver/hook"
)

// Bounds of a manifest.
const (
	maxManifest    = 32 << 10 // limit: bytes of a manifest
	maxHooks       = 64       // limit: hooks of a plugin; there are fewer operations
	maxAppOps      = 32       // limit: calls that an application may make
	maxConfig      = 32       // limit: fields of a configuration
	maxChoices     = 16       // limit: names that a field of a configuration chooses from
	maxNeighbours  = 16       // limit: plugins that one requires, and that it conflicts with
	maxName        = 64       // bytes of any name
	maxVersion     = 64       // bytes of a version
	maxDescription = 1000     // bytes
	maxOrder       = 1000     // of a hook, either side of 0
	maxWeight      = 16       // shares of a plugin in a connection's bytes

	// MaxMemoryPages is how many pages of 64 KiB a plugin may ask for.
	MaxMemoryPages = 64
	// MaxFuel is how many instructions a plugin may ask for in each call, and what it gets unasked.
	MaxFuel = 200_000
)

// A Manifest is everything that a plugin says about itself. What it does not say it must not do.
//
// As JSON it has these fields; those with "?" may be left out, and a package leaves out what would say the default:
//
//	id            reverse domain name in lower case, at most 100 bytes
//	version       semantic version
//	abi           {min, max}: versions of docs/plugin-abi.md, as in "1.0"
//	roles         ["client", "server"], or one of them
//	mode          "local", "negotiated" or "required" (hook.Mode)
//	hooks         [{op, anchor, order?, chain?}]: names of hook.Op and hook.Anchor; order from -1000 to 1000
//	frames?       [{name, max_len, ack_eliciting?, in_flight?, ride_along?, early?}]: hook.FrameDecl
//	permissions?  names of hook.Permission
//	views?        ["payload"]: it may see what packets carry
//	weight?       1 to 16: share of its frames
//	limits?       {memory_pages?, fuel?, timers?, reservations?, reserved_bytes?, emit?, log_bytes?}: [Limits]
//	config?       {schema: [{name, type, …}], defaults: {NAME: value}}, type "int" with min and max, "bool", or "choice" with choices;
//	              unit?, description?: [ConfigField]
//	app_ops?      [{id, name, description?}]: what the application may ask for
//	metrics?      [{id, name, type, unit?}], type "counter" or "gauge"
//	requires?     ids that must be attached to the connection, too
//	conflicts?    ids that must not
//	license?, description?
type Manifest struct {
	ID          string // reverse domain name, at most 100 bytes
	Version     string // semantic version
	Description string
	License     string // an SPDX expression
	ABI         ABIRange
	Roles       Roles // the ends that may run it
	Mode        hook.Mode
	Hooks       []hook.HookDecl
	Frames      []hook.FrameDecl
	Permissions hook.Permission
	Payload     bool // it may see what packets carry: views ["payload"]
	Weight      int  // share of its frames; 0 = 1
	Limits      Limits
	Config      []ConfigField
	AppOps      []AppOp
	Metrics     []hook.MetricDecl
	Requires    []string // ids that must be attached too
	Conflicts   []string // ids that must not
}

// An ABIVersion is a version of the WebAssembly ABI (docs/plugin-abi.md): major<<16 | minor.
type ABIVersion uint32

// String returns "1.0".
func (v ABIVersion) String() string { return fmt.Sprintf("%d.%d", uint32(v)>>16, uint32(v)&0xffff) }

// ParseABIVersion reads "1.0".
func ParseABIVersion(s string) (ABIVersion, bool) {
	major, minor, ok := strings.Cut(s, ".")
	if !ok || !isNumeral(major) || !isNumeral(minor) {
		return 0, false
	}
	hi, err1 := strconv.ParseUint(major, 10, 16)
	lo, err2 := strconv.ParseUint(minor, 10, 16)
	return ABIVersion(hi<<16 | lo), err1 == nil && err2 == nil
}

// ABIRange is what a plugin was written for, both ends included.
type ABIRange struct{ Min, Max ABIVersion }

// Roles is a set of ends of a connection.
type Roles uint8

// The ends of a connection.
const (
	Client Roles = 1 << iota
	Server
)

var roleNames = []string{"client", "server"}

// Has reports whether the plugin may run at that end.
func (r Roles) Has(server bool) bool {
	if server {
		return r&Server != 0
	}
	return r&Client != 0
}

// Limits are what a plugin says it needs. 0 = the default of the host.
type Limits struct {
	MemoryPages int // of 64 KiB
	Fuel        int // instructions of one call
	hook.Limits
}

// AppOp is something that the application may ask of a plugin.
type AppOp struct {
	ID          uint32
	Name        string
	Description string
}

// Info returns what the connection is told about a plugin with the manifest m. The lists are m's own.
func (m *Manifest) Info(digest [32]byte) *hook.Info {
	return &hook.Info{
		ID: m.ID, Version: m.Version, Digest: digest, Mode: m.Mode,
		Hooks: m.Hooks, Frames: m.Frames, Metrics: m.Metrics,
		Permissions: m.Permissions, Payload: m.Payload, Weight: m.Weight, Limits: m.Limits.Limits,
	}
}

// Hooked reports whether m declares a hook at op.
func (m *Manifest) Hooked(op hook.Op) bool {
	for _, h := range m.Hooks {
		if h.Op == op {
			return true
		}
	}
	return false
}

// CheckABI refuses a plugin that was not written for the ABI of the host.
func (m *Manifest) CheckABI(host ABIVersion) error {
	if host < m.ABI.Min || host > m.ABI.Max {
		return refuse("", "abi", "written for %v to %v, this host has %v", m.ABI.Min, m.ABI.Max, host)
	}
	return nil
}

// isNumeral reports whether s is a decimal number without leading zeros.
func isNumeral(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == "" && (s == "0" || s[0] != '0')
}

// ValidID reports whether s may be the id of a plugin.
func ValidID(s string) bool { return isID(s) }

// isID reports whether s is a reverse domain name in lower case: at least two labels of letters, digits and inner hyphens.
func isID(s string) bool {
	labels := strings.Split(s, ".")
	if len(s) > hook.MaxIDLen || len(labels) < 2 {
		return false
	}
	for _, l := range labels {
		if !isLabel(l) {
			return false
		}
	}
	return true
}

func isLabel(s string) bool {
	return s != "" && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-' &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// isVersion reports whether s is a semantic version (semver.org 2.0.0).
func isVersion(s string) bool {
	rest, build, hasBuild := strings.Cut(s, "+")
	core, pre, hasPre := strings.Cut(rest, "-")
	numbers := strings.Split(core, ".")
	if len(s) > maxVersion || len(numbers) != 3 || hasBuild && !isSeries(build, true) || hasPre && !isSeries(pre, false) {
		return false
	}
	for _, n := range numbers {
		if !isNumeral(n) {
			return false
		}
	}
	return true
}

// isSeries checks the dotted identifiers after "-" and "+"; only those of a build may have leading zeros.
func isSeries(s string, zeros bool) bool {
	for _, id := range strings.Split(s, ".") {
		digits := strings.Trim(id, "0123456789") == ""
		if id == "" || digits && !zeros && !isNumeral(id) {
			return false
		}
		for i := range len(id) {
			if c := id[i]; !isNameByte(c) || c == '_' || c == '.' {
				return false
			}
		}
	}
	return true
}
