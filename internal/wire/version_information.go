package wire

import (
	"encoding/binary"
	"fmt"
)

// VersionInformation is the version_information transport parameter
// (RFC 9368 §3).
type VersionInformation struct {
	Chosen Version // the version that the sender has chosen for the connection
	// Available are a client's versions to which its first flight can be
	// converted, in order of preference; a server's are those that it speaks.
	Available VersionList
}

func (i *VersionInformation) append(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(i.Chosen)), i.Available...)
}

// AppendVersions appends versions as a VersionList has them.
func AppendVersions(b VersionList, versions ...Version) VersionList {
	for _, v := range versions {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	return b
}

// setVersions obeys RFC 9368 §4, which says what fails to parse.
func (p *Params) setVersions(v []byte, fromServer bool) (wrong string) {
	if len(v) < 4 || len(v)%4 != 0 {
		return fmt.Sprintf("has %d bytes, want 4 for each version and one at least", len(v))
	}
	all := VersionList(append([]byte(nil), v...))
	if all.Contains(0) {
		return "lists version 0"
	}
	p.Versions = &VersionInformation{Chosen: all.At(0), Available: all[4:]}
	if !fromServer && !p.Versions.Available.Contains(p.Versions.Chosen) {
		return fmt.Sprintf("has the chosen version %v not among the available ones", p.Versions.Chosen)
	}
	return ""
}
