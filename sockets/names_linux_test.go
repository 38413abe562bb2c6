package sockets

import (
	"testing"

	"github.com/seed51309289/quiver/sockets/policy"
)

func TestPeersWithANameMustProveItWhereAuthoritiesVouch(t *testing.T) {
	named, ruled := policy.Decision{PeerName: "db.example"}, policy.Decision{PeerName: "db.example", Identity: "pin"}
	for _, tc := range []struct {
		ca   string
		d    policy.Decision
		want string
	}{{"", named, ""}, {"ca.pem", named, "db.example"}, {"ca.pem", ruled, "pin"}, {"ca.pem", policy.Decision{}, ""}} {
		s := &supervisor{conf: &Config{}}
		s.conf.Identity.CA = tc.ca
		if got := s.expected(tc.d); got != tc.want {
			t.Errorf("with authorities %q, %+v expects %q, want %q", tc.ca, tc.d, got, tc.want)
		}
	}
}
