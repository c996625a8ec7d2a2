package connection

import (
	"container/list"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// limiter keeps account of the connections of a server.
type limiter struct {
	config *Config

	mu      sync.Mutex
	changed sync.Cond // signals that a connection was closed or became idle, or that closed was set
	clients map[netip.Prefix]*client
	open    int // connections that take a place
	idle    int // those of them without a request
	linger  map[*conn]struct{}
	drains  int  // HTTP/2 requests that are read after their answers
	closed  bool // no connection lingers or waits any more
}

// client is a client address with connections. Unix sockets are the client with the zero prefix.
type client struct {
	address   netip.Prefix
	open      int
	lingering int
	idle      list.List // of *conn, the longest idle first
}

func newLimiter(c *Config) *limiter {
	l := &limiter{config: c, clients: map[netip.Prefix]*client{}, linger: map[*conn]struct{}{}}
	l.changed.L = &l.mu
	return l
}

// clientAddress returns the prefix that stands for the client, the zero prefix for unix sockets.
func clientAddress(a net.Addr, prefix6 int) netip.Prefix {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = prefix6
	}
	prefix, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// admit gives a connection a place. If none is free, it closes the longest idle connection; if none is idle, it
// waits, as connections with a request are soon done. It does not wait when the client's own places are taken,
// since that would hold up other clients. It reports whether the connection has a place; stopped ends the wait.
func (l *limiter) admit(c *conn, stopped func() bool) bool {
	address := clientAddress(c.RemoteAddr(), l.config.IPv6Prefix)
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed && !stopped() {
		owner := l.clients[address]
		switch {
		case owner != nil && address.IsValid() && l.config.MaxPerClient > 0 && owner.open >= l.config.MaxPerClient:
			if owner.idle.Len() == 0 {
				l.config.count(ClientLimit)
				return false
			}
			l.evict(owner)
		case l.config.MaxConnections > 0 && l.open >= l.config.MaxConnections:
			if victim := l.largestIdle(); victim != nil {
				l.evict(victim)
			} else {
				l.changed.Wait()
			}
		default:
			if owner == nil {
				owner = &client{address: address}
				l.clients[address] = owner
			}
			c.owner, c.placed = owner, true
			owner.open++
			l.open++
			l.setIdle(c, true)
			return true
		}
	}
	return false
}

// largestIdle returns the client with the most connections among those with idle ones, or nil. Unix sockets come
// last: who uses them is trusted to run on this machine.
func (l *limiter) largestIdle() *client {
	var largest *client
	for _, c := range l.clients {
		if c.idle.Len() > 0 && (largest == nil || !largest.address.IsValid() ||
			c.address.IsValid() && c.open > largest.open) {
			largest = c
		}
	}
	return largest
}

// evictIdle closes an idle connection, to free its file descriptor.
func (l *limiter) evictIdle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if victim := l.largestIdle(); victim != nil {
		l.evict(victim)
	}
}

// evict closes the client's longest idle connection. The caller holds the lock.
func (l *limiter) evict(owner *client) {
	c := owner.idle.Front().Value.(*conn)
	l.free(c)
	l.config.count(Evicted)
	c.Conn.Close()
}

// setIdle notes whether a connection is idle. The caller holds the lock.
func (l *limiter) setIdle(c *conn, idle bool) {
	switch {
	case !c.placed || idle == (c.idle != nil):
	case idle:
		c.idle = c.owner.idle.PushBack(c)
		l.idle++
		l.changed.Broadcast()
	default:
		c.owner.idle.Remove(c.idle)
		c.idle = nil
		l.idle--
	}
}

// free takes a connection's place away. The caller holds the lock.
func (l *limiter) free(c *conn) {
	if !c.placed {
		return
	}
	l.setIdle(c, false)
	c.placed = false
	c.owner.open--
	l.open--
	l.forget(c.owner)
	l.changed.Broadcast()
}

// forget removes a client without connections. The caller holds the lock.
func (l *limiter) forget(c *client) {
	if c.open == 0 && c.lingering == 0 && l.clients[c.address] == c {
		delete(l.clients, c.address)
	}
}

// note follows the state of a connection: idle is one that waits for a request, or has not sent the whole header
// of its first one.
func (l *limiter) note(c *conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch state {
	case http.StateNew, http.StateIdle:
		l.setIdle(c, true)
	case http.StateActive: // a header was read, or its time is over
		c.answered.Store(false)
		l.setIdle(c, false)
	}
}

// leave takes the place of a connection that the server closes. It reports whether the connection may linger: it
// had an answer, the client still sends, and few enough others linger. Then the caller must call done.
func (l *limiter) leave(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !c.placed {
		return false
	}
	lingers := c.idle == nil && c.answered.Load() && !c.ended.Load() && !l.closed
	owner := c.owner
	if lingers = lingers && l.mayLinger(owner); lingers {
		owner.lingering++
		l.linger[c] = struct{}{}
	}
	l.free(c)
	return lingers
}

// mayLinger reports whether one more connection or request of the client may linger. The caller holds the lock.
func (l *limiter) mayLinger(c *client) bool {
	config := &l.config.Linger
	if len(l.linger)+l.drains < config.Max && c.lingering < config.MaxPerClient {
		return true
	}
	l.config.count(LingerLimit)
	return false
}

// drain reports whether the body of an HTTP/2 request may be read after the answer. If so, the caller must call
// drained.
func (l *limiter) drain(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || !l.mayLinger(c.owner) {
		return false
	}
	c.owner.lingering++
	l.drains++
	return true
}

// drained ends the account of a request that was drained.
func (l *limiter) drained(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.owner.lingering--
	l.drains--
	l.forget(c.owner)
}

// drop takes the place of a connection that is closed at once.
func (l *limiter) drop(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free(c)
}

// done ends the account of a lingering connection.
func (l *limiter) done(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.linger, c)
	c.owner.lingering--
	l.forget(c.owner)
	l.changed.Broadcast()
}

// wake makes waiting calls of admit look again whether they are stopped.
func (l *limiter) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed.Broadcast()
}

// close ends all lingering connections, and waits until they are closed.
func (l *limiter) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for c := range l.linger {
		c.Conn.Close()
	}
	l.changed.Broadcast()
	for len(l.linger) > 0 {
		l.changed.Wait()
	}
}
