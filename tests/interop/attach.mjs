// Attaches a bundle to a manifest in a registry with @sigstore/oci, as GitHub's attest action does.
// stdin: {imageName, imageDigest, bundle, mediaType, annotations}; stdout: the descriptor of the referrer.
import { readFileSync } from "node:fs";
import { attachArtifactToImage } from "@sigstore/oci";

const { bundle, ...request } = JSON.parse(readFileSync(0, "utf8"));
const descriptor = await attachArtifactToImage({ ...request, artifact: Buffer.from(bundle, "utf8") });
process.stdout.write(JSON.stringify(descriptor));
