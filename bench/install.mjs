import { installLocked } from "../scripts/installLocked.mjs";

/** The peers that benchmarks compare with; false where they cannot be had. */
export const arePeersInstalled = () => installLocked("bench", "the peers");
