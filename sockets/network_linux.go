package sockets

// followNetwork moves connections when the host's addresses change.
func (s *supervisor) followNetwork() (stop func()) { return func() {} }
