// One alert: the dialog that closes it, and the way back to the queue.

import { typing } from "./console.js";

const dialog = document.getElementById("close-dialog");

if (dialog) {
  document.getElementById("close-open").addEventListener("click", () => dialog.showModal());
  document.getElementById("close-cancel").addEventListener("click", () => dialog.close());
  if (location.hash === "#close") dialog.showModal();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "u" && !typing(event) && !dialog?.open) location.href = "/alerts";
});
