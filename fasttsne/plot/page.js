// The page: one view that fills the window.
const fasttsne = draw(document.body, JSON.parse(document.getElementById("data").textContent), { page: true });
document.body.dataset.ready = "yes";
