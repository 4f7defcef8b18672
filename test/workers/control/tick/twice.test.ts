import { env } from "cloudflare:workers";
import { tick } from "../../../../control/tick/tick";
import { OK, receivers } from "../notify/fixtures";
import { aTick } from "./fixtures";
import { NOW_MS, twoAtOnce } from "./pairs";

/** With webhooks that answer, which the next file has not. */
twoAtOnce(Number(env.TEST_PAIRS) / 4, () => tick(aTick({ notifier: receivers(() => OK) }), NOW_MS));
