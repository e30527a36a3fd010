// Lets the cards of the board be dragged. Dropping one sends the card's own form, and the board that comes back is shown:
// so what the server refuses stands where it was, with its reason. What cannot be sent at all is put back, and said.
(() => {
  "use strict";
  const board = () => document.getElementById("board");
  if (!board()) return;
  const said = document.getElementById("board-said");
  let card = null;

  const say = (words) => {
    const alert = document.getElementById("board-alert").content.cloneNode(true);
    alert.querySelector("p").textContent = words;
    said.replaceChildren(alert);
  };
  const ready = () => {
    for (const each of board().querySelectorAll(".board__card")) each.draggable = Boolean(each.querySelector("form"));
  };
  const over = (column) => {
    for (const each of board().querySelectorAll(".is-over")) each.classList.toggle("is-over", each === column);
    column?.classList.add("is-over");
  };

  const show = (page) => {
    const news = new DOMParser().parseFromString(page, "text/html");
    const fresh = news.getElementById("board");
    if (!fresh) throw new Error("another page");
    board().replaceWith(fresh);
    said.replaceChildren(...news.querySelectorAll(".messages .alert"));
    ready();
  };

  const send = async (moved, column) => {
    const form = moved.querySelector("form");
    const data = new FormData(form);
    data.set("stage", column.dataset.stage);
    const [home, next] = [moved.parentElement, moved.nextElementSibling];
    column.append(moved);
    moved.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(location.href, { method: "POST", body: data });
      if (!answer.ok) throw new Error(String(answer.status));
      show(await answer.text());
    } catch {
      home.insertBefore(moved, next);
      moved.removeAttribute("aria-busy");
      say(board().dataset.failed);
    }
  };

  document.addEventListener("dragstart", (event) => {
    card = event.target.closest?.(".board__card[draggable=true]");
    if (!card) return;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", "");
    card.classList.add("is-dragged");
  });
  document.addEventListener("dragover", (event) => {
    if (!card) return;
    const column = event.target.closest(".board__column");
    over(column);
    if (column) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    const column = card && event.target.closest(".board__column");
    if (!column) return;
    event.preventDefault();
    if (column === card.closest(".board__column")) return;
    const allowed = [...card.querySelector("select").options];
    if (allowed.some((option) => option.value === column.dataset.stage)) send(card, column);
    else say(`${board().dataset.elsewhere} ${allowed.map((option) => option.text).join(", ")}.`);
  });
  document.addEventListener("dragend", () => {
    card?.classList.remove("is-dragged");
    card = null;
    over(null);
  });
  ready();
})();
