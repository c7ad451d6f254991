package worker_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
)

// authority is a private one, that has issued a certificate for localhost.
type authority struct{ root, certificate, key string } // as PEM

func newAuthority(t *testing.T) authority {
	t.Helper()
	issue := func(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, string) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		if signer == nil {
			parent, signer = template, key
		}
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
		must(t, err)
		c, err := x509.ParseCertificate(der)
		must(t, err)
		return c, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	root, rootKey, rootPEM := issue(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "private"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, nil)
	_, key, certificate := issue(&x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{"localhost"}, KeyUsage: x509.KeyUsageDigitalSignature,
	}, root, rootKey)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return authority{rootPEM, certificate, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))}
}

// nginx runs one, which keeps what is PUT, and gives the bases of its URLs: without
// TLS, and with it and HTTP/2.
func nginx(t *testing.T, a authority) (plain, secure string) {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		if _, err := os.Stat("/usr/sbin/nginx"); err != nil {
			t.Skip("nginx is not installed: apt-get install nginx-light")
		}
		program = "/usr/sbin/nginx"
	}
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	must(t, os.MkdirAll(filepath.Join(dir, "files"), 0o777))
	must(t, os.Chmod(filepath.Join(dir, "files"), 0o777))
	must(t, os.WriteFile(filepath.Join(dir, "cert.pem"), []byte(a.certificate), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "key.pem"), []byte(a.key), 0o600))
	ports := freePorts(t, 2)
	config := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http {
	access_log %[1]s/access.log; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	server {
		listen 127.0.0.1:%[2]d; listen 127.0.0.1:%[3]d ssl http2; server_name localhost; ssl_certificate %[1]s/cert.pem; ssl_certificate_key %[1]s/key.pem;
		root %[1]s/files; client_max_body_size 200m;
		location / { dav_methods PUT DELETE; }
		location /small { client_max_body_size 10k; dav_methods PUT; }
		location /slow { limit_rate 400k; alias %[1]s/files; }
		location /ill { return 503; }
		location /drop { return 444; }
	}
}
`, dir, ports[0], ports[1])
	must(t, os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o644))
	cmd := exec.Command(program, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
	out, err := os.Create(filepath.Join(dir, "output"))
	must(t, err)
	cmd.Stdout, cmd.Stderr = out, out
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = out.Close()
	})
	plain = fmt.Sprintf("http://localhost:%d", ports[0])
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", ports[1]))
		if err == nil {
			_ = c.Close()
			break
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(filepath.Join(dir, "output"))
			t.Fatalf("nginx does not listen: %v\n%s", err, text)
		}
	}
	return plain, fmt.Sprintf("https://localhost:%d", ports[1])
}

func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// TestNginxAsARemote sends to a server that nobody here wrote, over HTTP/1.1 in
// chunks and over HTTP/2.
func TestNginxAsARemote(t *testing.T) {
	a := newAuthority(t)
	plain, secure := nginx(t, a)
	p := fetches(t, setup{}, api.HTTP{
		Allow: []string{"localhost"}, Roots: a.root, Retries: api.HTTPRetries{Attempts: 2, Initial: api.Duration(time.Millisecond)},
	})
	const size = 3 << 20
	for name, base := range map[string]string{"plain": plain, "secure": secure} {
		if got := p.sends("stream", streaming("PUT", base+"/"+name), size, 50_000, 0, []any{}); !strings.Contains(got, `"status":201`) {
			t.Errorf("%s: PUT: %.300s", name, got)
		}
		n, sum := size, uint64(0)
		for _, c := range []byte(letters(n)) {
			sum = sum*31 + uint64(c)
		}
		want := fmt.Sprintf(`[{"ok":[%d,%d]}]`, n, sum)
		if got := p.sends("download", base+"/"+name); got != want {
			t.Errorf("%s: GET: %.300s, want %s", name, got, want)
		}
		if got := p.sends("post", base+"/"+name, "x"); got != `[{"error":"status 405"}]` {
			t.Errorf("%s: POST: %s", name, got)
		}
		if got := p.sends("stream", streaming("PUT", base+"/small"), size, 50_000, 0, []any{}); !strings.Contains(got, `"status":413`) && !strings.Contains(got, "Connection") {
			t.Errorf("%s: too much: %.300s", name, got)
		}
		if got := p.sends("get", base+"/ill"); got != `[{"error":"status 503"}]` {
			t.Errorf("%s: ill: %s", name, got)
		}
	}
	if got := p.sends("get", plain+"/drop"); !strings.Contains(got, "ConnectionTerminated") {
		t.Errorf("dropped: %s", got)
	}
	if got := p.again(); len(got) < 3 {
		t.Errorf("it was sent again for %q", got)
	}
	if got := p.sends("get", strings.Replace(secure, "localhost", "127.0.0.1", 1)); !strings.Contains(got, "Denied") {
		t.Errorf("by its address: %s", got)
	}
}

// TestAPrivateAuthorityIsTrustedIfThatIsSet has a server whose certificate the
// machine does not know, and that speaks HTTP/2.
func TestAPrivateAuthorityIsTrustedIfThatIsSet(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		fmt.Fprint(w, q.Proto, " ", len(body), " ", err, " ", q.Trailer.Get("X-Sum"))
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	root := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	p := fetches(t, setup{}, api.HTTP{})
	if got := p.sends("get", s.URL); got != `[{"error":"ErrorCode::TlsCertificateError"}]` {
		t.Errorf("without: %s", got)
	}
	_, err := p.catalog.Configure(t.Context(), "fetch", api.Settings{HTTP: api.HTTP{Roots: root, Trust: api.TrustRoots}})
	must(t, err)
	// A body of three chunks and a trailer that is announced, both ways.
	got := p.sends("stream", streaming("PUT", s.URL, []string{"trailer", "x-sum"}), 150_000, 50_000, 0, []any{[]string{"x-sum", "7"}})
	if !strings.Contains(got, `"body":"HTTP/2.0 150000 <nil> 7"`) {
		t.Errorf("got %s", got)
	}
	// One that is not would be lost.
	if got := p.sends("stream", streaming("PUT", s.URL), 150_000, 50_000, 0, []any{[]string{"x-sum", "7"}}); !strings.Contains(got, "HttpProtocolError") {
		t.Errorf("not announced: %s", got)
	}
	for _, wrong := range []api.HTTP{
		{Roots: "nothing"},
		{Roots: root + "x"},
		{Trust: "nobody"},
		{Proxy: "ftp://x"},
		{Proxy: api.ProxyEnvironment},
		{Proxy: "http://a:b@c"},
		{Retries: api.HTTPRetries{Attempts: 101}},
		{Retries: api.HTTPRetries{Max: api.Duration(48 * time.Hour)}},
	} {
		_, err := p.catalog.Configure(t.Context(), "fetch", api.Settings{HTTP: wrong})
		p.refused(err, api.CodeInvalid)
	}
}
