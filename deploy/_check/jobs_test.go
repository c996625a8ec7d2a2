package check

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// jobSet has the fields of JobSet's v1alpha2.JobSet that sweep.yaml uses, as its jobset_types.go
// declares them. The module itself is not in the Go module proxy that this was written with.
type jobSet struct {
	meta.TypeMeta   `json:",inline"`
	meta.ObjectMeta `json:"metadata"`
	Spec            struct {
		ReplicatedJobs []replicatedJob `json:"replicatedJobs"`
		FailurePolicy  *struct {
			MaxRestarts int32 `json:"maxRestarts"`
		} `json:"failurePolicy"`
	} `json:"spec"`
}

type replicatedJob struct {
	Name      string                `json:"name"`
	Template  batch.JobTemplateSpec `json:"template"`
	Replicas  int32                 `json:"replicas"`
	DependsOn []struct {
		Name   string `json:"name"`
		Status string `json:"status"` // Ready or Complete
	} `json:"dependsOn"`
}

// decodeJobs decodes the Jobs of a file strictly.
func decodeJobs(t *testing.T, file string) []batch.Job {
	t.Helper()
	text, err := os.ReadFile("../" + file)
	if err != nil {
		t.Fatal(err)
	}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	var all []batch.Job
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		var job batch.Job
		if err := errors.Join(err, yaml.UnmarshalStrict(document, &job)); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if job.APIVersion != "batch/v1" || job.Kind != "Job" {
			t.Errorf("%s has a %s %s", file, job.APIVersion, job.Kind)
		}
		all = append(all, job)
	}
}

// argument returns the argument after a flag, "" without the flag.
func argument(c core.Container, flag string) string {
	if i := slices.Index(c.Args, flag); i >= 0 && i+1 < len(c.Args) {
		return c.Args[i+1]
	}
	return ""
}

// checkJob checks a Job, and returns its container.
func checkJob(t *testing.T, name string, spec batch.JobSpec) core.Container {
	t.Helper()
	pod := spec.Template.Spec
	c := checkSecurity(t, pod)
	if pod.RestartPolicy != core.RestartPolicyNever { // backoffLimitPerIndex and podFailurePolicy need it
		t.Errorf("%s: restartPolicy %q", name, pod.RestartPolicy)
	}
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
	}
	for _, m := range c.VolumeMounts {
		if !volumes[m.Name] {
			t.Errorf("%s: there is no volume %s", name, m.Name)
		}
		delete(volumes, m.Name)
	}
	if len(volumes) > 0 {
		t.Errorf("%s: the volumes %v are not mounted", name, volumes)
	}
	if spec.PodFailurePolicy != nil {
		for _, r := range spec.PodFailurePolicy.Rules {
			if codes := r.OnExitCodes; codes != nil && (codes.ContainerName == nil || *codes.ContainerName != c.Name) {
				t.Errorf("%s: a rule is for another container than %s", name, c.Name)
			}
		}
	}
	return c
}

// checkIndexed checks that a Job has as many indices as --shard says.
func checkIndexed(t *testing.T, name string, spec batch.JobSpec, c core.Container) {
	t.Helper()
	if spec.CompletionMode == nil || *spec.CompletionMode != batch.IndexedCompletion || spec.Completions == nil ||
		spec.Parallelism == nil || *spec.Parallelism > *spec.Completions || spec.BackoffLimitPerIndex == nil {
		t.Fatalf("%s is not an Indexed Job with a limit for each index", name)
	}
	if have := argument(c, "--shard"); have != strconv.Itoa(int(*spec.Completions)) {
		t.Errorf("%s has %d completions and --shard %s", name, *spec.Completions, have)
	}
}

func TestShards(t *testing.T) {
	jobs := decodeJobs(t, "shards.yaml")
	if len(jobs) != 2 {
		t.Fatalf("%d jobs", len(jobs))
	}
	shards, merge := checkJob(t, "classify", jobs[0].Spec), checkJob(t, "merge", jobs[1].Spec)
	checkIndexed(t, "classify", jobs[0].Spec, shards)
	if s := jobs[1].Spec.Suspend; s == nil || !*s {
		t.Error("the merge does not wait for the shards")
	}
	out := argument(shards, "--out")
	if want := fmt.Sprintf("%s-*-of-%05d", out, *jobs[0].Spec.Completions); merge.Args[1] != want ||
		argument(merge, "--out") != out {
		t.Errorf("the merge has %v, not %s", merge.Args, want)
	}
	text, err := os.ReadFile("../shards.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, job := range jobs {
		if !strings.Contains(string(text), "job/"+job.Name) {
			t.Errorf("no command names %s", job.Name)
		}
	}
}

func TestSweep(t *testing.T) {
	var set jobSet
	decode(t, "sweep.yaml", map[string]any{"jobset.x-k8s.io/v1alpha2 JobSet": &set})
	jobs := set.Spec.ReplicatedJobs
	if len(jobs) != 2 {
		t.Fatalf("%d jobs", len(jobs))
	}
	runs, ranking := checkJob(t, "runs", jobs[0].Template.Spec), checkJob(t, "ranking", jobs[1].Template.Spec)
	checkIndexed(t, "runs", jobs[0].Template.Spec, runs)
	for _, j := range jobs {
		if j.Replicas != 1 { // each replica would train all shards
			t.Errorf("%s has %d replicas", j.Name, j.Replicas)
		}
	}
	if d := jobs[1].DependsOn; len(jobs[0].DependsOn) > 0 || len(d) != 1 || d[0].Name != jobs[0].Name ||
		d[0].Status != "Complete" {
		t.Errorf("the ranking depends on %v", d)
	}
	i := slices.Index(runs.Args, "--shard")
	if without := slices.Delete(slices.Clone(runs.Args), i, i+2); !slices.Equal(without, ranking.Args) {
		t.Errorf("the ranking has other arguments: %v and %v", runs.Args, ranking.Args)
	}
}
