// Where an older rule set or model still judges: a partition takes the newest one with its next record.
import { h } from "./dom.js";

export function inForce(version, versions) {
  const older = Object.entries(versions).filter(([name, partitions]) => name !== version && partitions.length);
  if (!older.length) return "";
  return h("p.soft", older.map(([name, partitions]) => `Partition${partitions.length > 1 ? "s" : ""} ${partitions.join(", ")} still by ${name}. `), "A partition takes the newest with its next record.");
}
