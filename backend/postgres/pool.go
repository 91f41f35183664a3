// How the connections are used.

package postgres

import "github.com/senpuki/senpuki/backend"

// Pool is the use of the connections, but for the one that listens.
func (s *Store) Pool() backend.Pool {
	stat := s.pool.Stat()
	return backend.Pool{
		Max: int(stat.MaxConns()), InUse: int(stat.AcquiredConns()),
		Waits: stat.EmptyAcquireCount(), Waited: stat.EmptyAcquireWaitTime(),
	}
}

var _ backend.Pooler = (*Store)(nil)
