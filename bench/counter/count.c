// A plugin of QEMU that counts the instructions of the program that it runs, and writes their number to
// the file that its argument out names. It declares what it uses of QEMU's interface, version 1, as
// distributions install no header.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;

extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*translated)(plugin_id, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, void (*run)(unsigned int, void *),
                                                 int no_registers, void *data);
extern void qemu_plugin_register_atexit_cb(plugin_id id, void (*end)(plugin_id, void *), void *data);

int qemu_plugin_version = 1;

static uint64_t count;
static char path[4096];

// add runs before each block of instructions, in any of the program's threads.
static void add(unsigned int cpu, void *instructions) {
    __atomic_fetch_add(&count, (uintptr_t)instructions, __ATOMIC_RELAXED);
}

static void translated(plugin_id id, struct qemu_plugin_tb *block) {
    qemu_plugin_register_vcpu_tb_exec_cb(block, add, 0, (void *)(uintptr_t)qemu_plugin_tb_n_insns(block));
}

static void end(plugin_id id, void *data) {
    FILE *out = fopen(path, "w");
    if (out == NULL || fprintf(out, "%llu\n", (unsigned long long)count) < 0 || fclose(out) != 0) {
        perror(path);
        abort();
    }
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0 || strlen(argv[0] + 4) >= sizeof path) {
        fprintf(stderr, "count: the argument out=FILE is missing\n");
        return -1;
    }
    strcpy(path, argv[0] + 4);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, end, NULL);
    return 0;
}
