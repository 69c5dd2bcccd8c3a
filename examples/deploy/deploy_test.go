//go:build unix

// Package deploy_test has no code: its tests hold the files beside it against the
// programs that they are for, as far as these are on this machine.
package deploy_test

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// need is the path of a program, without which the test skips, unless
// REQUIRE_DEPLOY says that all are there.
func need(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("REQUIRE_DEPLOY") == "" {
		t.Skip(name + " is not installed")
	}
	require.NoError(t, err)
	return path
}

// build builds one of the examples.
func build(t *testing.T, name string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	cmd := exec.Command("go", "build", "-o", program, "./examples/"+name)
	cmd.Dir = "../.."
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return program
}

// leaks starts the quickstart's CA with its seven leaks, and returns the
// directory that has var/log/letsencrypt, etc/letsencrypt and root.pem.
func leaks(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(build(t, "quickstart"), "--wait")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	told := ""
	for lines := bufio.NewScanner(out); lines.Scan() && !strings.HasPrefix(lines.Text(), "Ctrl-C"); {
		told += lines.Text() + "\n"
	}
	dir := regexp.MustCompile(`(?m)^(/\S*quickstart-\d+)\.$`).FindStringSubmatch(told)
	require.Len(t, dir, 2, told)
	return dir[1]
}

// run runs a program with clear-authz on its PATH, which trusts the leaks' CA.
func run(t *testing.T, dir string, env []string, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(append(os.Environ(), "SSL_CERT_FILE="+filepath.Join(dir, "root.pem")), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestSystemd verifies the units, with the program where they say.
func TestSystemd(t *testing.T) {
	analyze := need(t, "systemd-analyze")
	root := t.TempDir()
	for _, unit := range []string{"clear-authz.service", "clear-authz.timer"} {
		text, err := os.ReadFile("systemd/" + unit)
		require.NoError(t, err)
		text = bytes.ReplaceAll(text, []byte("/usr/bin/clear-authz"), []byte(build(t, "clear-authz")))
		require.NoError(t, os.WriteFile(filepath.Join(root, unit), text, 0o644))
		out, err := exec.Command(analyze, "verify", "--man=no", filepath.Join(root, unit)).CombinedOutput()
		require.NoError(t, err, string(out))
		require.Empty(t, string(out))
	}
	out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=30", filepath.Join(root, "clear-authz.service")).CombinedOutput()
	require.NoError(t, err, string(out)) // an exposure of 3.0 of 10
}

// TestSystemdCommand runs the service's command line on a machine with leaks.
func TestSystemdCommand(t *testing.T) {
	dir := leaks(t)
	text, err := os.ReadFile("systemd/clear-authz.service")
	require.NoError(t, err)
	command := regexp.MustCompile(`(?m)^ExecStart=(.*)$`).FindStringSubmatch(string(text))[1]
	command = strings.NewReplacer("/usr/bin/clear-authz", build(t, "clear-authz")+" --min-age 0 --config-dir "+dir+"/etc/letsencrypt",
		"/var/log", dir+"/var/log", "${STATE_DIRECTORY}", dir, "${RUNTIME_DIRECTORY}", dir).Replace(command)
	out, err := run(t, dir, nil, "sh", "-c", command)
	require.NoError(t, err, out)
	require.Contains(t, out, "7 found, 7 pending, 7 cleared, 0 failed\n")
	metrics, err := os.ReadFile(filepath.Join(dir, "clear-authz.prom"))
	require.NoError(t, err)
	require.Contains(t, string(metrics), `outcome="cleared"} 7`)
}

// TestKubernetes decodes the manifests strictly: no member is misspelled or in a
// wrong place.
func TestKubernetes(t *testing.T) {
	text, err := os.ReadFile("kubernetes/cronjob.yaml")
	require.NoError(t, err)
	kinds := map[string]func() any{
		"ServiceAccount": func() any { return &corev1.ServiceAccount{} }, "ClusterRole": func() any { return &rbacv1.ClusterRole{} },
		"ClusterRoleBinding": func() any { return &rbacv1.ClusterRoleBinding{} }, "Role": func() any { return &rbacv1.Role{} },
		"RoleBinding": func() any { return &rbacv1.RoleBinding{} }, "CronJob": func() any { return &batchv1.CronJob{} },
	}
	var job *batchv1.CronJob
	documents := strings.Split(string(text), "\n---\n")
	require.Len(t, documents, len(kinds))
	for _, document := range documents {
		var head struct{ APIVersion, Kind string }
		require.NoError(t, yaml.Unmarshal([]byte(document), &head))
		require.Contains(t, kinds, head.Kind)
		object := kinds[head.Kind]()
		require.NoError(t, yaml.UnmarshalStrict([]byte(document), object), head.Kind)
		if head.Kind == "CronJob" {
			job = object.(*batchv1.CronJob)
		}
	}
	pod := job.Spec.JobTemplate.Spec.Template.Spec
	require.True(t, *pod.SecurityContext.RunAsNonRoot)
	for _, c := range append(pod.InitContainers, pod.Containers...) {
		require.False(t, *c.SecurityContext.AllowPrivilegeEscalation)
		require.True(t, *c.SecurityContext.ReadOnlyRootFilesystem)
		require.Equal(t, []corev1.Capability{"ALL"}, c.SecurityContext.Capabilities.Drop)
	}
}

// TestKubernetesCommands runs what the containers do, with resources of
// cert-manager in place of a cluster's.
func TestKubernetesCommands(t *testing.T) {
	text, err := os.ReadFile("kubernetes/cronjob.yaml")
	require.NoError(t, err)
	documents := strings.Split(string(text), "\n---\n")
	var job batchv1.CronJob
	require.NoError(t, yaml.UnmarshalStrict([]byte(documents[len(documents)-1]), &job))
	pod := job.Spec.JobTemplate.Spec.Template.Spec

	dir, bin, resources := leaks(t), t.TempDir(), t.TempDir()
	writeResources(t, dir, bin)
	script := strings.ReplaceAll(pod.InitContainers[0].Command[2], "/resources", resources)
	out, err := run(t, dir, []string{"PATH=" + bin + ":" + os.Getenv("PATH")}, "sh", "-ec", script)
	require.NoError(t, err, out)

	args := []string{"--min-age", "0"}
	for _, arg := range pod.Containers[0].Args {
		args = append(args, strings.ReplaceAll(arg, "/resources", resources))
	}
	out, err = run(t, dir, nil, build(t, "clear-authz"), args...)
	require.NoError(t, err, out)
	require.Contains(t, out, "7 found, 7 pending, 7 cleared, 0 failed\n")
}

// writeResources writes a kubectl that prints an issuer, its Secret, and an order
// with the leaks.
func writeResources(t *testing.T, dir, bin string) {
	t.Helper()
	keys, err := filepath.Glob(filepath.Join(dir, "etc/letsencrypt/accounts/*/dir/*/private_key.json"))
	require.NoError(t, err)
	require.Len(t, keys, 1)
	issuer, secret := issuerAndSecret(t, keys[0])
	log, err := os.ReadFile(filepath.Join(dir, "var/log/letsencrypt/letsencrypt.log"))
	require.NoError(t, err)
	seen, order := map[string]bool{}, "apiVersion: v1\nkind: List\nitems:\n- apiVersion: acme.cert-manager.io/v1\n  kind: Order\n  metadata: {name: shop, namespace: default}\n  status:\n    state: pending\n    authorizations:\n"
	for _, url := range regexp.MustCompile(`https://localhost:\d+/authZ/[\w-]+`).FindAllString(string(log), -1) {
		if !seen[url] {
			seen[url] = true
			order += "    - {url: \"" + url + "\", initialState: pending, challenges: []}\n"
		}
	}
	require.Len(t, seen, 7)
	for name, content := range map[string]string{"issuers": issuer, "secret": secret, "orders": order} {
		require.NoError(t, os.WriteFile(filepath.Join(bin, name+".yaml"), []byte(content), 0o600))
	}
	kubectl := "#!/bin/sh\ncase \"$*\" in\n*clusterissuers*) f=issuers;; *secret*) f=secret;; *) f=orders;;\nesac\nexec cat " + bin + "/$f.yaml\n"
	require.NoError(t, os.WriteFile(filepath.Join(bin, "kubectl"), []byte(kubectl), 0o700))
}

// TestDockerfile parses the Dockerfile with BuildKit's rules, and looks who runs
// what in the end.
func TestDockerfile(t *testing.T) {
	text, err := os.ReadFile("docker/Dockerfile")
	require.NoError(t, err)
	result, err := parser.Parse(bytes.NewReader(text))
	require.NoError(t, err)
	require.Empty(t, result.Warnings)
	lint := linter.New(&linter.Config{Warn: func(rule, description, _, message string, _ []parser.Range) {
		t.Errorf("%s: %s: %s", rule, description, message)
	}})
	stages, _, err := instructions.Parse(result.AST, lint)
	require.NoError(t, err)
	last := stages[len(stages)-1]
	require.Equal(t, "scratch", last.BaseName)
	var user string
	for _, command := range last.Commands {
		if c, ok := command.(*instructions.UserCommand); ok {
			user = c.User
		}
	}
	require.Equal(t, "65532:65532", user)

	build := regexp.MustCompile(`(?m)^RUN (CGO_ENABLED=0 go build .*) -o /clear-authz (\S+)$`).FindStringSubmatch(string(text))
	require.Len(t, build, 3)
	program := filepath.Join(t.TempDir(), "clear-authz")
	cmd := exec.Command("sh", "-c", build[1]+" -o "+program+" "+build[2])
	cmd.Dir = "../.."
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	static, err := exec.Command("go", "version", "-m", program).Output()
	require.NoError(t, err)
	require.Contains(t, string(static), "CGO_ENABLED=0") // scratch has no libc
}

// TestAnsible checks the playbook and plays it against this machine.
func TestAnsible(t *testing.T) {
	ansible := need(t, "ansible-playbook")
	dir := leaks(t)
	out, err := run(t, dir, nil, ansible, "--syntax-check", "-i", "localhost,", "ansible/clear-authz.yml")
	require.NoError(t, err, out)
	reports := t.TempDir()
	play := func() string {
		t.Helper()
		out, err := run(t, dir, []string{"ANSIBLE_LOCALHOST_WARNING=False", "ANSIBLE_LOCAL_TEMP=" + t.TempDir()}, ansible, "-i", "localhost,", "-c", "local",
			"-e", `{"become_root": false, "clear_authz": "`+build(t, "clear-authz")+`", "clear_authz_logs": "`+dir+`/var/log/letsencrypt",
				"clear_authz_journal": "`+dir+`/journal", "clear_authz_flags": ["--min-age", "0", "--config-dir", "`+dir+`/etc/letsencrypt"],
				"clear_authz_reports": "`+reports+`"}`, "ansible/clear-authz.yml")
		require.NoError(t, err, out)
		return out
	}
	require.Regexp(t, `localhost\s+: ok=3\s+changed=2\s+unreachable=0\s+failed=0`, play())
	require.Regexp(t, `localhost\s+: ok=3\s+changed=1\s+unreachable=0\s+failed=0`, play()) // the report has another time
	report, err := os.ReadFile(filepath.Join(reports, "localhost.json"))
	require.NoError(t, err)
	require.Contains(t, string(report), "acmeauthz-leaks/1")
}

// TestCertbotHook is run by Certbot itself, after an attempt that fails.
func TestCertbotHook(t *testing.T) {
	certbot := need(t, "certbot")
	dir, bin := leaks(t), filepath.Dir(build(t, "clear-authz"))
	hook, err := filepath.Abs("certbot/settle-pending.sh")
	require.NoError(t, err)
	require.NoError(t, exec.Command("sh", "-n", hook).Run())
	directory, err := filepath.Glob(filepath.Join(dir, "etc/letsencrypt/accounts/*"))
	require.NoError(t, err)
	env := []string{
		"PATH=" + bin + ":" + os.Getenv("PATH"), "REQUESTS_CA_BUNDLE=" + filepath.Join(dir, "root.pem"),
		"CERTBOT_LOGS=" + filepath.Join(dir, "var/log/letsencrypt"), "CLEAR_AUTHZ_JOURNAL=" + filepath.Join(dir, "journal"),
		"CLEAR_AUTHZ_FLAGS=--min-age 0 --config-dir " + filepath.Join(dir, "etc/letsencrypt"),
	}
	out, err := run(t, dir, env, certbot, "certonly", "--standalone", "--http-01-port", "0", "-d", "fails.example.org", "--dry-run", "-n", "--agree-tos",
		"-m", "admin@example.org", "--server", "https://"+filepath.Base(directory[0])+"/dir", "--config-dir", filepath.Join(dir, "etc/letsencrypt"),
		"--work-dir", filepath.Join(dir, "work"), "--logs-dir", filepath.Join(dir, "var/log/letsencrypt"), "--post-hook", hook)
	require.Error(t, err, out) // Pebble validates at another port
	require.NotContains(t, out, "clear-authz ended")
	after, err := run(t, dir, nil, filepath.Join(bin, "clear-authz"), "--all", "--dry-run", "--config-dir", filepath.Join(dir, "etc/letsencrypt"), filepath.Join(dir, "var/log/letsencrypt"))
	require.NoError(t, err, after)
	require.Contains(t, after, " 0 pending, ")
	require.Contains(t, after, "deactivated")
}
