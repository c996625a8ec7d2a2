package queue

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"garb/internal/safefile"
)

// Files in the folder of a queue.
const (
	lockFile    = "lock"        // locked by the process that runs the server
	addressFile = "server.json" // where that server is; only the user can read it
	storeFolder = "store"       // JetStream's data
)

// hostCheck is the time between two looks at the server of a folder. It bounds how long the
// workers wait when the process that runs the server is killed.
const hostCheck = 200 * time.Millisecond

// address is the content of the address file.
type address struct {
	Address string `json:"address"`
	Token   string `json:"token"`
}

// host runs the server of a folder while this process holds the lock.
type host struct {
	options Options
	lock    *flock.Flock
	log     serverLog

	mu     sync.Mutex
	server *server.Server // nil if another process runs it
}

// openFolder connects to the server of the folder, and starts it if no process runs it.
func (q *Queue) openFolder(ctx, keeping context.Context) error {
	dir := q.options.Dir
	if q.options.Existing {
		if _, err := os.Stat(filepath.Join(dir, lockFile)); err != nil {
			return &NoQueueError{dir, err}
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	q.host = &host{options: q.options, lock: flock.New(filepath.Join(dir, lockFile))}
	began := time.Now()
	for {
		err := q.host.tryOwn()
		if err != nil {
			if full := q.checkSpace(); full != nil {
				return full
			}
			return err
		}
		if q.nc, err = q.host.connect(); err == nil {
			break
		}
		if time.Since(began) > spaceCheck {
			if full := q.checkSpace(); full != nil {
				return full
			}
		}
		if time.Since(began) > q.options.Patience {
			return &NoAnswerError{dir, err}
		}
		if err := sleep(ctx, hostCheck); err != nil {
			return err
		}
	}
	q.running.Go(func() { q.keepHost(keeping) })
	return nil
}

// spaceCheck is the time without an answer of the server after which its disk is suspected: as long
// as a process needs to start the server.
const spaceCheck = time.Second

// checkSpace returns a *FullError if the queue is in a folder without space. No process can start
// the server then.
func (q *Queue) checkSpace() error {
	if q.host == nil {
		return nil
	}
	if err := q.host.probeSpace(); err != nil && saysFull(err.Error()) {
		return &FullError{q.place(), err}
	}
	return nil
}

// probeBytes is what probeSpace writes: more than the server needs to start.
const probeBytes = 1 << 16

// probeSpace returns an error if the folder has no space.
func (h *host) probeSpace() error {
	f, err := os.CreateTemp(h.options.Dir, "space.*.tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, probeBytes))
	err = errors.Join(err, f.Close())
	return errors.Join(err, os.Remove(f.Name()))
}

// keepHost takes over the server when the process that ran it has ended, and starts it again
// when its disk was full.
func (q *Queue) keepHost(ctx context.Context) {
	tick := time.NewTicker(hostCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch {
		case q.host.owns():
			q.host.revive(ctx)
		case !q.nc.IsConnected():
			if err := q.host.tryOwn(); err != nil {
				q.options.Warn(err)
				sleep(ctx, time.Second)
			}
		}
	}
}

// connect connects to the server that the address file names. The connection reads the file
// again whenever it connects again.
func (h *host) connect() (*nats.Conn, error) {
	if _, err := h.readAddress(); err != nil {
		return nil, err
	}
	options := append(connectionOptions(), nats.SetCustomDialer(h), nats.IgnoreDiscoveredServers(),
		nats.TokenHandler(func() string {
			a, _ := h.readAddress() // without it the server refuses, and the client tries again
			return a.Token
		}))
	return nats.Connect("nats://127.0.0.1", options...)
}

// Dial implements nats.CustomDialer.
func (h *host) Dial(network, _ string) (net.Conn, error) {
	a, err := h.readAddress()
	if err != nil {
		return nil, err
	}
	return net.DialTimeout(network, a.Address, 2*time.Second)
}

// readAddress reads the address file.
func (h *host) readAddress() (address, error) {
	path := filepath.Join(h.options.Dir, addressFile)
	data, err := safefile.Read(path, 1<<16)
	if err != nil {
		return address{}, err
	}
	var a address
	if err := json.Unmarshal(data, &a); err != nil {
		return address{}, fmt.Errorf("%s: not an address file: %w", path, err)
	}
	return a, nil
}

// owns reports whether this process runs the server.
func (h *host) owns() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.server != nil
}

// tryOwn starts the server unless another process runs it.
func (h *host) tryOwn() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.server != nil {
		return nil
	}
	locked, err := h.lock.TryLock()
	if err != nil || !locked {
		return err
	}
	if err := h.start(); err != nil {
		return errors.Join(err, h.lock.Unlock())
	}
	return nil
}

// start starts the server and writes its address. The caller holds mu and the lock.
func (h *host) start() error {
	o, err := h.serverOptions()
	if err != nil {
		return err
	}
	s, err := server.NewServer(o)
	if err != nil {
		return fmt.Errorf("%s: cannot start the server of the queue: %w", h.options.Dir, err)
	}
	h.log.reset()
	s.SetLoggerV2(&h.log, false, false, false)
	s.Start()
	stop := func(err error) error {
		s.Shutdown()
		s.WaitForShutdown()
		return err
	}
	if !h.waitUntilReady(s) {
		return stop(fmt.Errorf("%s: the server of the queue does not start: %s", h.options.Dir, h.log.last()))
	}
	if err = h.checkStore(s); err != nil {
		return stop(err)
	}
	a, err := json.Marshal(address{reachLocally(s.Addr()), o.Authorization})
	if err != nil {
		return stop(err)
	}
	if err := h.writeAddress(a); err != nil {
		return stop(err)
	}
	h.server = s
	return nil
}

// waitUntilReady waits until the server accepts connections. It reports false if it cannot, as when
// another process uses its address.
func (h *host) waitUntilReady(s *server.Server) bool {
	for began := time.Now(); time.Since(began) < time.Minute; {
		if s.ReadyForConnections(hostCheck) {
			return true
		}
		if h.log.isFatal() {
			return false
		}
	}
	return false
}

// writeAddress replaces the address file. Only the user can read it, because it has the token.
func (h *host) writeAddress(data []byte) error {
	f, err := os.CreateTemp(h.options.Dir, addressFile+".*.tmp") // with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = safefile.Rename(f.Name(), filepath.Join(h.options.Dir, addressFile))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// serverOptions returns the settings of the server.
func (h *host) serverOptions() (*server.Options, error) {
	o := &server.Options{
		ServerName: "garb", Host: "127.0.0.1", Port: server.RANDOM_PORT,
		Authorization: rand.Text(),
		JetStream:     true, StoreDir: filepath.Join(h.options.Dir, storeFolder),
		JetStreamMaxStore: h.options.MaxBytes,
		// Before a message is confirmed, it is written, and so outlives this process; only a loss of power can
		// take it. To sync each message as well would hold up the computation: Go's scheduler notices late
		// that a thread is blocked.
		SyncInterval: syncInterval,
		NoSigs:       true, DisableJetStreamBanner: true,
	}
	if o.JetStreamMaxStore == 0 {
		// The server's own default depends on the space that is free when it starts, and would stay
		// when a full disk has space again.
		o.JetStreamMaxStore = math.MaxInt64
	}
	if h.options.Token != "" {
		o.Authorization = h.options.Token
	}
	if h.options.Listen == "" {
		return o, nil
	}
	name, port, err := net.SplitHostPort(h.options.Listen)
	if err == nil {
		o.Host = name
		o.Port, err = strconv.Atoi(port)
	}
	if err == nil && (o.Port < 0 || o.Port > 1<<16-1) {
		err = errors.New("the port is out of range")
	}
	if err != nil {
		return nil, fmt.Errorf("%q is not an address such as 0.0.0.0:4222: %w", h.options.Listen, err)
	}
	if o.Host == "" {
		o.Host = server.DEFAULT_HOST
	}
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	return o, nil
}

// syncInterval is the time between two syncs of the server's files.
const syncInterval = 10 * time.Second

// sync syncs the files of a job to the disk, if they are on this machine.
func (q *Queue) sync(job string) error {
	if q.host == nil {
		return nil
	}
	for _, stream := range []string{pictureStream(job), resultStream(job)} {
		folder := filepath.Join(q.options.Dir, streamsFolder, stream, "msgs")
		entries, err := os.ReadDir(folder)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if err := syncFile(filepath.Join(folder, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// syncFile syncs a file to the disk.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// reachLocally returns an address of a server that this machine can reach.
func reachLocally(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	return a.String()
}

// streamsFolder is the folder with the streams, in that of the queue.
var streamsFolder = filepath.Join(storeFolder, "jetstream", "$G", "streams")

// checkStore reports streams on disk that the server could not read. The server only logs
// them, and would answer as if they had never been.
func (h *host) checkStore(s *server.Server) error {
	entries, err := os.ReadDir(filepath.Join(h.options.Dir, streamsFolder))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := s.Jsz(&server.JSzOptions{Accounts: true, Streams: true})
	if err != nil {
		return fmt.Errorf("%s: %w", h.options.Dir, err)
	}
	known := map[string]bool{}
	for _, account := range info.AccountDetails {
		for _, stream := range account.Streams {
			known[stream.Name] = true
			isJob := strings.HasPrefix(stream.Name, pictureStream("")) || strings.HasPrefix(stream.Name,
				resultStream(""))
			if lost := stream.State.LastSeq - stream.State.Msgs; isJob && lost > 0 { // see check
				return &StoreError{Dir: h.options.Dir, Text: fmt.Sprintf("%s: %d of %d messages cannot be read",
					describeStream(h.options.Dir, stream.Name), lost, stream.State.LastSeq)}
			}
		}
	}
	for _, entry := range entries {
		if !known[entry.Name()] && !strings.HasPrefix(entry.Name(), ".") {
			return &StoreError{Dir: h.options.Dir, Text: fmt.Sprintf("%s: %s",
				describeStream(h.options.Dir, entry.Name()), strings.TrimSpace(h.log.last()))}
		}
	}
	return nil
}

// revive starts the server again if it could not write its data. JetStream stays off after
// such an error until it is started again.
func (h *host) revive(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.server == nil || h.server.JetStreamEnabled() && !h.log.hasFailed() {
		return
	}
	h.options.Warn(&FullError{h.options.Dir, errors.New(h.log.last())})
	h.server.Shutdown()
	h.server.WaitForShutdown()
	for {
		if sleep(ctx, time.Second) != nil {
			h.server = nil
			h.lock.Unlock()
			return
		}
		if h.probeSpace() != nil {
			continue
		}
		err := h.start()
		if err == nil {
			return
		}
		h.options.Warn(err)
	}
}

// clientURL returns the address for other machines.
func (h *host) clientURL() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.server == nil {
		return ""
	}
	return h.server.ClientURL()
}

// close stops the server, so that another process can start it.
func (h *host) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.server == nil {
		return nil
	}
	h.server.Shutdown()
	h.server.WaitForShutdown()
	h.server = nil
	return h.lock.Unlock()
}

// serverLog keeps the last error of a server. It implements server.Logger.
type serverLog struct {
	mu     sync.Mutex
	text   string
	failed bool // the server could not write
	fatal  bool // the server could not start
}

func (l *serverLog) keep(format string, values []any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = fmt.Sprintf(format, values...)
	for _, sign := range []string{"failed to store a msg", "will be DISABLED", "disabling JetStream"} {
		l.failed = l.failed || strings.Contains(l.text, sign)
	}
}

func (l *serverLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text, l.failed, l.fatal = "", false, false
}

func (l *serverLog) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text
}

func (l *serverLog) hasFailed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

func (l *serverLog) isFatal() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}

// Errorf implements server.Logger.
func (l *serverLog) Errorf(format string, values ...any) { l.keep(format, values) }

// Fatalf implements server.Logger.
func (l *serverLog) Fatalf(format string, values ...any) {
	l.keep(format, values)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fatal = true
}

// Warnf implements server.Logger.
func (l *serverLog) Warnf(format string, values ...any) { l.keep(format, values) }

// Noticef implements server.Logger.
func (l *serverLog) Noticef(string, ...any) {}

// Debugf implements server.Logger.
func (l *serverLog) Debugf(string, ...any) {}

// Tracef implements server.Logger.
func (l *serverLog) Tracef(string, ...any) {}
