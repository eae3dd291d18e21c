"""Names and groups of settings in the form.

English comes from the settings themselves, but for labels that say more than a setting's name does. A setting that has
no entry here is shown in English in both languages, and stands in the last group, so a new kind of run or method needs
none.
"""

from collections.abc import Mapping

from pipelines.families import known_parts
from studio.runs.kinds import RunKind

ENGLISH: Mapping[str, str] = {
    "assistant_only": "Learn from answers only",
    "balanced": "Balance the classes",
    "beta": "Hold to the base (beta)",
    "checkpoint_every": "Checkpoint every (steps)",
    "clip": "Clip of the ratio",
    "cut_long": "Cut long examples",
    "folds": "Folds of the cross-validation",
    "group_size": "Group size",
    "judge": "Judge for scores",
    "keep_checkpoints": "Checkpoints kept",
    "max_length": "Longest example (tokens)",
    "max_new_tokens": "Longest answer (tokens)",
    "captions.max_new_tokens": "Longest caption (tokens)",
    "overwrite": "Replace captions",
    "packing": "Pack short examples",
    "prompt": "One caption for all",
    "quantise": "Quantise the base",
    "sample_every": "Sample every (steps)",
    "sample_max_new_tokens": "Length of samples (tokens)",
    "scaled": "Scale advantages",
    "skip_bad": "Skip unreadable pictures",
    "trigger": "Trigger word",
    "trust_remote_code": "Run the base's own code",
    "validation": "Validation data",
}
"""Setting -> label, where its name alone says too little."""

CHINESE: Mapping[str, tuple[str, str]] = {
    "gradient_accumulation_steps": ("梯度累加", "把幾個批次的梯度相加成一步。"),
    "activation": ("啟動函數", ""),
    "adapters": ("轉接器", ""),
    "alpha": ("Alpha", "增量乘以 alpha / rank；留空表示 alpha = rank，即係數 1。"),
    "base": ("基礎模型", "pocket、diffusers 格式的資料夾，或 hub 上的名稱。"),
    "batch_size": ("批次大小", "每個裝置每一步的樣本數。"),
    "caption_dropout": ("描述丟棄率", "有多少比例的描述留空，讓引導強度仍然有效。"),
    "checkpoint_every": ("檢查點間隔（步）", "兩個檢查點之間的步數。"),
    "data": ("資料", "放有圖片與描述的資料夾。"),
    "device": ("裝置", "auto、cpu、cuda 或 cuda:N。"),
    "dropout": ("丟棄率", "訓練時丟棄該層輸入的比例，0 到 1。"),
    "flip": ("左右翻轉", "也用鏡像的圖片訓練。文字與人臉不適用。"),
    "gradient_checkpointing": ("梯度檢查點", "把啟動值算兩次以節省記憶體。"),
    "judge": ("評分模型", "替訓練圖片算嵌入以便日後評分的 CLIP 模型：pocket、資料夾、none 或 auto。"),
    "keep_checkpoints": ("保留的檢查點", "保留最新的幾個檢查點。"),
    "learning_rate": ("學習率", "留空使用方法的建議值。"),
    "max_grad_norm": ("梯度長度上限", "比這更長的梯度會縮短到這個長度。"),
    "method": ("方法", ""),
    "name": ("名稱", "轉接器與訓練的名稱。"),
    "optimizer": ("最佳化器", "計算每一步的演算法。"),
    "precision": ("精度", "凍結的基礎模型使用的運算；auto 在支援的 GPU 上是 bf16，否則是 fp32。"),
    "prompt": ("統一描述", "所有圖片用同一個描述，取代描述檔。"),
    "rank": ("秩", "增量的秩。越大學得越多，檔案也越大；常用 4 到 64。"),
    "resolution_px": ("解析度（像素）", "訓練的邊長；留空使用基礎模型自己的。"),
    "sample_every": ("取樣間隔（步）", "兩次取樣之間的步數；0 只在開始與結束時取樣。"),
    "sample_prompts": ("取樣提示詞", "每行一個；留空則取資料中的幾個描述。"),
    "lr_scheduler": ("學習率排程", "暖身之後學習率如何下降。"),
    "seed": ("種子", "一切隨機的種子；-1 會抽一個並保留下來。"),
    "skip_bad": ("略過壞檔", "遇到讀不出的圖片時略過並繼續。"),
    "loss_weighting": ("損失權重", "各雜訊程度的誤差各算多少。"),
    "gamma": ("Gamma", "訊噪比的上限 γ，常用 5。"),
    "floor": (
        "下限",
        "各雜訊程度權重的下限；留空則照論文不設。零終端訊噪比且預測速度的基礎模型，不設就學不到純雜訊那一步。",
    ),
    "steps": ("步數", "最佳化的步數。"),
    "stage": ("階段", "要拿這些文字做什麼。"),
    "max_length": ("最大長度（詞元）", "一個範例最長幾個詞元；留空則取基礎模型讀得下的長度。"),
    "cut_long": ("截斷過長的範例", "截去過長範例的尾端，而不是拒絕它們。"),
    "packing": ("合併短範例", "把數個短範例放進同一列，彼此看不見；長短不一時較快。"),
    "assistant_only": ("只學助理的回答", "只從助理的發言學習，不學問題。"),
    "validation": ("驗證資料", "不參與訓練、用來計算驗證損失的文字檔；留空則取資料旁的 held_out.jsonl。"),
    "quantise": ("量化", "以 4 位元保存凍結的基礎模型（QLoRA）。"),
    "trust_remote_code": ("執行基礎模型附帶的程式碼", "只用於您信任的基礎模型。"),
    "sample_max_new_tokens": ("取樣長度（詞元）", "取樣的回答最長幾個詞元。"),
    "beta": ("Beta", "模型被拉住、不偏離基礎模型的強度；常用 0.1 到 0.5。"),
    "label_smoothing": ("標籤平滑", "估計有多少比例的偏好對是反的。"),
    "folds": ("交叉驗證份數", "正式訓練前，把資料等分成這麼多份，輪流留一份量測、其餘訓練；0 表示不做。"),
    "balanced": ("平衡類別", "不論範例多少，每個類別的份量相同。"),
    "head_learning_rate": ("輸出頭的學習率", "輸出頭的步長；方法另有自己的。"),
    "rewards": (
        "獎勵",
        "每行一個；可在冒號後加權重。",
    ),
    "group_size": ("分組大小", ""),
    "text.group_size": ("每組回答數", "每個提示產生幾個互相比較的回答。"),
    "max_new_tokens": ("回答長度上限（詞元）", "一個回答最長幾個詞元。"),
    "temperature": ("溫度", "取樣的溫度；越低變化越少。"),
    "clip": ("比值上限", "一個詞元的機率比偏離 1 多遠之後不再計入。"),
    "iterations": ("重複次數", "用同一批回答訓練幾步。"),
    "scaled": ("縮放優勢值", "如論文所述，把優勢值除以組內標準差。"),
    "model": ("描述模型", "BLIP 模型的資料夾或 hub 上的名稱，權重須為 .safetensors。"),
    "captioner": ("模型種類", "如何讀取模型；auto 由檔案判斷。"),
    "beginning": ("開頭", "模型的句子以這些字開始，例如 a drawing of。"),
    "prefix": ("前綴", "原樣放在每個描述前面，例如觸發詞。"),
    "suffix": ("後綴", "原樣放在每個描述後面。"),
    "overwrite": ("取代描述", "也取代已有的描述；否則保留。"),
    "captions.max_new_tokens": ("描述長度上限（詞元）", "描述在第幾個詞元處截斷。"),
    "captions.data": ("資料", "要加上描述的圖片資料夾。"),
    "captions.name": ("名稱", "這次執行的名稱。"),
    "captions.batch_size": ("批次大小", "模型一次看幾張圖片。"),
    "text.beta": ("Beta", "模型被拉住、不偏離基礎模型的強度；常用 0.1 到 0.5，GRPO 可用 0 表示不拉住。"),
    "block_size": ("區塊大小", "區塊的邊長；必須整除各層的寬度。"),
    "length": ("長度", "學習幾個詞元，或每個注意力模組幾組鍵與值。"),
    "hidden": ("隱藏層寬度", "訓練時產生它們的網路寬度。"),
    "scale": ("縮放", "加上去的量所乘的係數。"),
    "size": ("瓶頸寬度", "越寬學得越多，檔案也越大。"),
    "rank_stabilised": ("穩定秩（rsLoRA）", "改乘 alpha / √rank，讓高秩同樣學得好。"),
    "rate_ratio": ("B 的學習率倍數（LoRA+）", "B 比 A 學得快幾倍；1 是一般的 LoRA，論文用 16。"),
    "skip_first": ("略過前幾個區塊", "AdapterDrop：前幾個區塊不放轉接器，較快。"),
    "frequencies": ("頻率數", "每一層學習幾個頻率。"),
    "coefficients": ("係數數", "每一層學習幾個係數。"),
    "last_blocks": ("最後幾個區塊", "完整訓練最後幾個 transformer 區塊。"),
    "word": ("新詞", "新詞的名稱；描述與提示詞以含角括號的 <名稱> 呼叫它。"),
    "vectors": ("向量數", "幾個向量；它們在提示詞中佔同樣多的位置。"),
    "text.base": ("基礎模型", "pocket-lm、語言模型的資料夾，或 hub 上的名稱（或 名稱@版本）。"),
    "text.data": ("資料", "文字檔（.jsonl、.json、.csv、.txt），或內有 train.jsonl 的資料夾。"),
    "targets": ("目標層", "每行一個：attention、feed_forward、convolution，或模組名稱。"),
    "trigger": ("觸發詞", "放在每個描述前面、用來呼叫此風格的詞；留空則用方法自己學的詞（若有）。"),
    "warmup_steps": ("暖身步數", "學習率從零升起的步數。"),
    "weight_decay": ("權重衰減", "解耦的權重衰減。"),
}
"""Setting -> (label, help) in Traditional Chinese; an empty help is shown in English."""


def part_titles() -> dict[str, tuple[str, str]]:
    """Return part -> (English, Traditional Chinese), as the families of bases call their parts."""
    parts = {**known_parts("picture"), **known_parts("text")}
    return {name: (part.title, part.title_chinese) for name, part in parts.items()}


KINDS: Mapping[str, str] = {
    "images": "從圖片學習風格",
    "text": "從文字學習語氣或任務",
    "captions": "由模型撰寫描述",
}
"""Kind of run -> its title in Traditional Chinese."""

STAGES: Mapping[str, str] = {
    "sft": "監督式微調",
    "dpo": "直接偏好最佳化",
    "grpo": "群組相對策略最佳化",
    "reward": "獎勵模型",
    "classify": "序列分類",
}
"""Stage -> its title in Traditional Chinese."""

GROUPS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("Learning", "學習"): (
        *(
            "steps",
            "batch_size",
            "gradient_accumulation_steps",
            "optimizer",
            "lr_scheduler",
            "warmup_steps",
            "weight_decay",
        ),
        *("max_grad_norm", "seed", "loss_weighting", "caption_dropout"),
    ),
    ("Data and captions", "資料與描述"): ("trigger", "prompt", "skip_bad", "flip", "resolution_px", "judge"),
    ("Texts", "文字"): ("validation", "assistant_only", "max_length", "cut_long", "packing"),
    ("Samples and checkpoints", "取樣與檢查點"): (
        *("sample_prompts", "sample_max_new_tokens", "sample_every", "checkpoint_every", "keep_checkpoints"),
    ),
    ("Device and memory", "裝置與記憶體"): ("device", "precision", "gradient_checkpointing", "quantise"),
}
"""Title -> the settings that stand folded under it."""

OTHER = ("Other settings", "其他設定")
"""The title over settings that stand in no group."""


def kind_title(kind: RunKind, chinese: bool) -> str:
    """Return what a kind of run is called."""
    return KINDS.get(kind.name, kind.title) if chinese else kind.title
