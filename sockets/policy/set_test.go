package policy

import "testing"

func TestSetsHaveWhatTheyName(t *testing.T) {
	s, err := ParseSet("--allow-to", []string{"10.0.0.0/8:443,db.example:5432", "[fd00::]:1-3,192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Resolve(t.Context(), zone{"db.example": {"198.51.100.1"}}.lookup); err != nil {
		t.Fatal(err)
	}
	for dest, want := range map[string]bool{
		"10.9.9.9:443": true, "[::ffff:10.9.9.9]:443": true, "10.9.9.9:80": false, "198.51.100.1:5432": true, "198.51.100.1:5433": false,
		"[fd00::]:3": true, "[fd00::]:4": false, "[fd00::1]:3": false, "192.0.2.1:1": true, "192.0.2.2:1": false, "[::]:1": false,
	} {
		if got := s.Has(at(dest)); got != want {
			t.Errorf("Has(%s) = %v, want %v", dest, got, want)
		}
	}
	if new(Set).Has(at("10.0.0.1:80")) || new(Set).Resolve(t.Context(), nil) != nil {
		t.Error("the zero Set has something, or names")
	}
	if _, err := ParseSet("--allow-to", []string{"10.0.0.1/8"}); err == nil ||
		err.Error() != `--allow-to: got "10.0.0.1/8", want HOST, ADDRESS or CIDR, with :PORT or without, such as 10.0.0.7:8000; hint: write 10.0.0.0/8, or the address alone` {
		t.Errorf("error %v, want that it is of --allow-to", err)
	}
}
