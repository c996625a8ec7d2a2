package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// readTemplate returns the SAM template.
func readTemplate(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("../../deploy/lambda/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// template has the fields of the template. Any other is an error.
type template struct {
	AWSTemplateFormatVersion string `yaml:"AWSTemplateFormatVersion"`
	Transform                string `yaml:"Transform"`
	Description              string `yaml:"Description"`
	Parameters               map[string]struct {
		Type          string   `yaml:"Type"`
		Description   string   `yaml:"Description"`
		AllowedValues []string `yaml:"AllowedValues"`
		Default       string   `yaml:"Default"`
	} `yaml:"Parameters"`
	Resources map[string]struct {
		Type       string `yaml:"Type"`
		Properties struct {
			CodeURI                      string   `yaml:"CodeUri"`
			Handler                      string   `yaml:"Handler"`
			Runtime                      string   `yaml:"Runtime"`
			Architectures                []string `yaml:"Architectures"`
			MemorySize                   int      `yaml:"MemorySize"`
			Timeout                      int      `yaml:"Timeout"`
			ReservedConcurrentExecutions int      `yaml:"ReservedConcurrentExecutions"`
			Environment                  struct {
				Variables map[string]string `yaml:"Variables"`
			} `yaml:"Environment"`
			FunctionURLConfig struct {
				AuthType   string `yaml:"AuthType"`
				InvokeMode string `yaml:"InvokeMode"`
			} `yaml:"FunctionUrlConfig"`
		} `yaml:"Properties"`
	} `yaml:"Resources"`
	Outputs map[string]struct {
		Description string `yaml:"Description"`
		Value       string `yaml:"Value"`
	} `yaml:"Outputs"`
}

// TestTemplate: the template has only fields that we know, and its values fit the program.
func TestTemplate(t *testing.T) {
	d := yaml.NewDecoder(bytes.NewReader(readTemplate(t)))
	d.KnownFields(true)
	var sam template
	if err := d.Decode(&sam); err != nil {
		t.Fatal(err)
	}
	f := sam.Resources["Garb"]
	p := f.Properties
	if f.Type != "AWS::Serverless::Function" || p.Handler != "bootstrap" || p.Runtime != "provided.al2023" ||
		!slices.Equal(p.Architectures, []string{"arm64"}) || p.CodeURI != "../../bin/lambda/arm64/" ||
		p.FunctionURLConfig.InvokeMode != "BUFFERED" {
		t.Errorf("%+v", f)
	}
	if memory(p.MemorySize) < smallestMemory || p.Timeout < 1 || p.Timeout > int(longestInvocation.Seconds()) ||
		p.ReservedConcurrentExecutions < 1 {
		t.Errorf("%d MB, %d s, %d at a time", p.MemorySize, p.Timeout, p.ReservedConcurrentExecutions)
	}
	var environment []string
	for name, value := range p.Environment.Variables {
		parameter, ok := sam.Parameters[value] // of !Ref
		if !ok {
			t.Errorf("%s refers to %s", name, value)
		}
		environment = append(environment, name+"="+parameter.Default)
	}
	if _, err := readSettings(environment); err != nil {
		t.Error(err)
	}
	access := sam.Parameters[p.FunctionURLConfig.AuthType]
	if access.Default != "AWS_IAM" || !slices.Contains(access.AllowedValues, access.Default) {
		t.Errorf("the function URL is open by default: %+v", access)
	}
}

// TestTemplateLints: cfn-lint, which knows SAM, accepts the template.
func TestTemplateLints(t *testing.T) {
	python := os.Getenv("GARB_SAM_PYTHON")
	if python == "" {
		t.Skip("GARB_SAM_PYTHON names no Python with cfn-lint and aws-sam-translator")
	}
	out, err := exec.Command(filepath.Join(filepath.Dir(python), "cfn-lint"),
		"../../deploy/lambda/template.yaml").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestImage: the image is built from the module's Go version, and starts the program.
func TestImage(t *testing.T) {
	text, err := os.ReadFile("../../deploy/lambda/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(module)
	for _, line := range []string{"golang:" + string(version[1]) + " AS build", "FROM scratch", "CGO_ENABLED=0",
		"GOARCH=$TARGETARCH", "-tags lambda.norpc", `ENTRYPOINT ["/var/task/bootstrap"]`} {
		if !strings.Contains(string(text), line) {
			t.Errorf("no %s", line)
		}
	}
}
