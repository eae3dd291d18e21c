"""The Settings tab's texts in English and Traditional Chinese."""

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "settings.title": ("Settings", "設定"),
    "settings.models": ("Defaults for models", "模型的預設值"),
    "settings.device": ("Device", "裝置"),
    "settings.device_info": (
        "auto takes the first GPU, else the CPU. Runs keep the device of their own settings.",
        "auto 會使用第一個 GPU，沒有則用 CPU。訓練使用各自設定的裝置。",
    ),
    "settings.precision": ("Precision", "精度"),
    "settings.precision_info": (
        "auto is bf16 on a GPU that has it, else fp32.",
        "auto 在支援的 GPU 上使用 bf16，否則使用 fp32。",
    ),
    "settings.stored": ("Stored in {path}.", "已存於 {path}。"),
    "settings.look": ("Look and language", "外觀與語言"),
    "settings.theme": ("Theme", "主題"),
    "settings.system": ("As the system", "依系統"),
    "settings.light": ("Light", "淺色"),
    "settings.dark": ("Dark", "深色"),
    "settings.language": (
        "The page speaks the first language of your browser that it knows: English or Traditional Chinese. Change it "
        "in the browser's own settings, and reload.",
        "頁面使用瀏覽器偏好的語言：英文或繁體中文。請在瀏覽器設定中變更後重新載入。",
    ),
    "settings.library": ("Library", "資料庫"),
    "settings.folder": ("Folder", "資料夾"),
    "settings.folder_info": (
        "Everything the studio writes lies in here. To use another folder, close the studio and start it with "
        "'studio app --library FOLDER', or set STUDIO_LIBRARY.",
        "工作室寫入的一切都在這裡。要改用其他資料夾，請關閉後以「studio app --library 資料夾」啟動，"
        "或設定 STUDIO_LIBRARY。",
    ),
    "settings.use": ("What it takes on the disk", "磁碟用量"),
    "settings.free": ("{total} in all; {free} are free on this disk.", "共 {total}；此磁碟尚有 {free} 可用。"),
    "settings.kind": ("kind", "種類"),
    "settings.files": ("files", "檔案數"),
    "settings.size": ("size", "大小"),
    "settings.adapters": ("adapters", "轉接器"),
    "settings.runs": ("runs", "訓練"),
    "settings.data": ("data", "資料"),
    "settings.outputs": ("outputs: pictures and sheets", "輸出：圖片與圖表"),
    "settings.searches": ("searches", "搜尋"),
    "settings.studies": ("studies", "研究"),
    "settings.cache": ("cache: copies for the page", "快取：頁面用的副本"),
    "settings.logs": ("logs", "記錄"),
    "settings.other": ("other", "其他"),
    "settings.clearing": ("Clear up", "清理"),
    "settings.what": ("What to clear", "清理什麼"),
    "settings.days": ("Older than (days)", "早於（天）"),
    "settings.plan": ("Show what would be deleted", "顯示將刪除的檔案"),
    "settings.clear": ("Delete these files", "刪除這些檔案"),
    "settings.would": (
        "{count} {count:file|files} ({size}) would be deleted. Nothing is deleted yet.",
        "將刪除 {count} 個檔案（{size}）。目前尚未刪除任何檔案。",
    ),
    "settings.none_to_clear": ("Nothing there is that old; nothing to delete.", "沒有這麼舊的檔案，無需刪除。"),
    "settings.files_to_delete": ("Files to delete", "將刪除的檔案"),
    "settings.more": ("… and {count} more", "……以及另外 {count} 個"),
    "settings.cleared": (
        "{count} {count:file|files} ({size}) {count:was|were} deleted.",
        "已刪除 {count} 個檔案（{size}）。",
    ),
    "settings.plan_first": ("Look at what would be deleted first.", "請先顯示將刪除的檔案。"),
    "settings.process": ("Inference process", "推論程序"),
    "settings.process_info": (
        "Pictures are drawn in a process of its own. Starting it again frees its memory and ends what is being drawn; "
        "training runs go on.",
        "圖片在獨立的程序中繪製。重新啟動會釋放其記憶體並中止正在繪製的工作；訓練會繼續。",
    ),
    "settings.restart": ("Start it again", "重新啟動"),
    "settings.restarted": ("It is starting again.", "正在重新啟動。"),
    "settings.log": ("Its log, the end", "記錄的結尾"),
    "settings.no_log": ("It has written nothing yet.", "尚無任何記錄。"),
    "settings.versions": ("Versions", "版本"),
    "settings.package": ("package", "套件"),
    "settings.version": ("version", "版本"),
}
