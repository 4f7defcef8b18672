import { tick } from "../../../../control/tick/tick";
import { OK, receivers } from "../notify/fixtures";
import { aTick } from "./fixtures";
import { NOW_MS, twoAtOnce } from "./pairs";

twoAtOnce(() => tick(aTick({ notifier: receivers(() => OK) }), NOW_MS));
