// Verifies bundles with sigstore-js, as npm's users have it.
// stdin: {trustedRoot, keys: {hint: base64 of DER}, cases: [{bundle, tlogThreshold, timestampThreshold, identity, issuer}]}
// stdout: for every case the empty string, or why it is refused.
import { readFileSync } from "node:fs";
import { bundleFromJSON } from "@sigstore/bundle";
import { TrustedRoot } from "@sigstore/protobuf-specs";
import { toSignedEntity, toTrustMaterial, Verifier } from "@sigstore/verify";

const request = JSON.parse(readFileSync(0, "utf8"));
const keys = Object.fromEntries(
  Object.entries(request.keys).map(([hint, der]) => [hint, { rawBytes: Buffer.from(der, "base64") }]),
);
const material = toTrustMaterial(TrustedRoot.fromJSON(request.trustedRoot), keys);

function outcome({ bundle, tlogThreshold, timestampThreshold, identity, issuer }) {
  try {
    const verifier = new Verifier(material, { tlogThreshold, timestampThreshold });
    const policy = identity ? { subjectAlternativeName: identity, extensions: { issuer } } : undefined;
    verifier.verify(toSignedEntity(bundleFromJSON(bundle)), policy);
    return "";
  } catch (error) {
    return `${error.code ?? error.name}: ${error.message}`;
  }
}

process.stdout.write(JSON.stringify(request.cases.map(outcome)));
